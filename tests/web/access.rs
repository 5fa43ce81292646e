//! Who may do what: every route by every role and method.

use std::collections::BTreeMap;
use std::path::Path;

use karat::service::{Identity, Password, Role};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::routes;
use crate::server::{Server, encoded};

/// Every route with its methods and what it takes: nothing, or at least a role. A route that is missing here fails the
/// tests.
const TABLE: &str = "
    GET  /healthz                            -
    GET  /readyz                             -
    GET  /static/{*name}                     -
    GET  /login                              -
    GET  /login/with/{provider}              -
    GET  /login/from/{provider}              -
    POST /login                              -
    POST /preferences                        -
    GET  /                                   viewer
    GET  /live                               viewer
    GET  /metrics                            viewer
    GET  /alerts                             viewer
    GET  /alerts/{id}                        viewer
    GET  /assets                             viewer
    GET  /assets/{name}                      viewer
    POST /assets/{name}/launch               operator
    POST /assets/{name}/mark                 operator
    GET  /assets/{name}/mark                 viewer
    GET  /assets/{name}/plan                 viewer
    GET  /assets/{name}/why                  viewer
    GET  /automation                         viewer
    GET  /automation/{asset}                 viewer
    GET  /automation/{asset}/evaluations     viewer
    GET  /backfills                          viewer
    POST /backfills                          operator
    GET  /backfills/new                      viewer
    GET  /backfills/{id}                     viewer
    POST /backfills/{id}/cancel              operator
    POST /backfills/{id}/limit               operator
    POST /backfills/{id}/pause               operator
    POST /backfills/{id}/resume              operator
    POST /backfills/{id}/retry               operator
    GET  /quarantine                         viewer
    POST /quarantine/discard                 operator
    POST /quarantine/release                 operator
    GET  /quarantine/{id}                    viewer
    GET  /schedules                          viewer
    GET  /schedules/{name}                   viewer
    POST /schedules/{name}/pause             operator
    POST /schedules/{name}/resume            operator
    GET  /schedules/{name}/trigger           viewer
    POST /schedules/{name}/trigger           operator
    GET  /sensors                            viewer
    GET  /sensors/{name}                     viewer
    POST /sensors/{name}/{verb}              operator
    GET  /settings                           viewer
    POST /settings/channels/{name}/test      admin
    GET  /timeline                           viewer
    GET  /workers                            viewer
    GET  /dashboards                         viewer
    GET  /dashboards/{dashboard}             viewer
    GET  /dashboards/{dashboard}/{chart}/{file} viewer
    GET  /lineage                            viewer
    GET  /lineage/panel/{asset}              viewer
    GET  /lineage/states                     viewer
    GET  /assets                             viewer
    GET  /assets/{name}                      viewer
    POST /assets/{name}/launch               operator
    GET  /assets/{name}/mark                 viewer
    POST /assets/{name}/mark                 operator
    GET  /assets/{name}/plan                 viewer
    GET  /assets/{name}/why                  viewer
    GET  /runs                               viewer
    POST /runs/cancel                        operator
    POST /runs/retry                         operator
    GET  /runs/{run_id}                      viewer
    POST /runs/{run_id}/cancel               operator
    POST /runs/{run_id}/resume               operator
    POST /runs/{run_id}/retry                operator
    GET  /runs/{run_id}/log                  viewer
    GET  /runs/{run_id}/log.txt              viewer
    GET  /runs/{run_id}/log/live             viewer
    GET  /tables                             viewer
    GET  /tables/{asset}                     viewer
    GET  /tables/{asset}/{file}              viewer
    POST /logout                             viewer
    GET  /settings/account                   viewer
    POST /settings/account/password          viewer
    POST /settings/account/logout-others     viewer
    GET  /settings/tokens                    viewer
    POST /settings/tokens                    viewer
    POST /settings/tokens/{id}/revoke        viewer
    GET  /settings/users                     admin
    POST /settings/users                     admin
    POST /settings/users/{name}/password     admin
    POST /settings/users/{name}/role         admin
    POST /settings/users/{name}/disable      admin
    POST /settings/users/{name}/enable       admin
    POST /settings/users/{name}/logout       admin
    GET  /api                                viewer
    GET  /api/openapi.json                   viewer
    GET  /api/v1/alerts                      viewer
    POST /api/v1/alerts/test                 admin
    GET  /api/v1/alerts/{alert}              viewer
    GET  /api/v1/assets                      viewer
    GET  /api/v1/assets/{asset}              viewer
    GET  /api/v1/assets/{asset}/automation   viewer
    GET  /api/v1/assets/{asset}/checks       viewer
    GET  /api/v1/assets/{asset}/columns      viewer
    GET  /api/v1/assets/{asset}/figures      viewer
    GET  /api/v1/assets/{asset}/heat         viewer
    GET  /api/v1/assets/{asset}/materializations viewer
    GET  /api/v1/assets/{asset}/partitions   viewer
    GET  /api/v1/assets/{asset}/rows         viewer
    GET  /api/v1/assets/{asset}/status       viewer
    GET  /api/v1/assets/{asset}/why          viewer
    GET  /api/v1/audit                       admin
    GET  /api/v1/backfills                   viewer
    POST /api/v1/backfills                   operator
    GET  /api/v1/backfills/{backfill}        viewer
    POST /api/v1/backfills/{backfill}/cancel operator
    POST /api/v1/backfills/{backfill}/limit  operator
    POST /api/v1/backfills/{backfill}/pause  operator
    POST /api/v1/backfills/{backfill}/resume operator
    POST /api/v1/backfills/{backfill}/retry  operator
    GET  /api/v1/collectors                  viewer
    GET  /api/v1/dashboards                  viewer
    GET  /api/v1/dashboards/{dashboard}      viewer
    GET  /api/v1/dashboards/{dashboard}/charts/{chart} viewer
    GET  /api/v1/health                      viewer
    GET  /api/v1/instance                    viewer
    GET  /api/v1/lineage                     viewer
    POST /api/v1/marks                       operator
    GET  /api/v1/overview                    viewer
    POST /api/v1/plan                        viewer
    GET  /api/v1/pools                       viewer
    GET  /api/v1/progress                    viewer
    GET  /api/v1/quarantine                  viewer
    POST /api/v1/quarantine/discard          operator
    POST /api/v1/quarantine/release          operator
    GET  /api/v1/quarantine/{row}            viewer
    GET  /api/v1/runs                        viewer
    POST /api/v1/runs                        operator
    GET  /api/v1/runs/{run}                  viewer
    POST /api/v1/runs/{run}/cancel           operator
    GET  /api/v1/runs/{run}/events           viewer
    GET  /api/v1/runs/{run}/logs             viewer
    GET  /api/v1/runs/{run}/logs/download    viewer
    GET  /api/v1/runs/{run}/logs/stream      viewer
    POST /api/v1/runs/{run}/resume           operator
    POST /api/v1/runs/{run}/retry            operator
    GET  /api/v1/runs/{run}/steps            viewer
    GET  /api/v1/runs/{run}/versions         viewer
    GET  /api/v1/schedules                   viewer
    POST /api/v1/schedules/{schedule}/pause  operator
    GET  /api/v1/schedules/{schedule}/plan   viewer
    POST /api/v1/schedules/{schedule}/resume operator
    GET  /api/v1/schedules/{schedule}/ticks  viewer
    POST /api/v1/schedules/{schedule}/trigger operator
    GET  /api/v1/sensors                     viewer
    GET  /api/v1/sensors/{sensor}            viewer
    POST /api/v1/sensors/{sensor}/cursor     operator
    POST /api/v1/sensors/{sensor}/pause      operator
    POST /api/v1/sensors/{sensor}/resume     operator
    POST /api/v1/sensors/{sensor}/trigger    operator
    GET  /api/v1/status                      viewer
    GET  /api/v1/tables                      viewer
    GET  /api/v1/ticks                       viewer
    GET  /api/v1/timeline                    viewer
    GET  /api/v1/tokens                      admin
    POST /api/v1/tokens/{token}/revoke       admin
    GET  /api/v1/users                       admin
    POST /api/v1/users/{user}/disable        admin
    POST /api/v1/users/{user}/enable         admin
    POST /api/v1/users/{user}/logout         admin
    POST /api/v1/users/{user}/role           admin
    GET  /api/v1/workers                     viewer
    GET  /audit                              admin
";

/// Routes by `METHOD path`, with the least role that may.
fn table() -> BTreeMap<String, Option<Role>> {
    TABLE
        .lines()
        .filter_map(|line| {
            let [method, path, role] = line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
            Some((format!("{method} {path}"), (role != "-").then(|| role.parse().unwrap())))
        })
        .collect()
}

/// A server with people of every role, none of whom has to hash a password.
pub(crate) async fn with_people() -> Server {
    let server = Server::new().await;
    make_root(&server).await;
    server
}

pub(crate) async fn make_root(server: &Server) {
    let password = Password::chosen("correct horse battery".to_owned()).unwrap();
    server.service.create_account("root", Role::Admin, Some(&password)).await.unwrap();
}

/// The cookie of somebody who is logged in, as the server gives it: by the login page.
pub(crate) async fn cookie_of_root(server: &Server) -> String {
    let answer = server.post("/login", &[("name", "root"), ("password", "correct horse battery")]).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// A token of somebody with this role.
pub(crate) async fn token_of(server: &Server, role: Role) -> String {
    let name = format!("some-{role}");
    let identity = Identity { subject: name.clone(), name: name.clone(), role };
    server.service.login_as("test", &identity, None, None).await.unwrap();
    let token = server.service.create_token(&name, &uuid::Uuid::new_v4().to_string(), role, None).await.unwrap();
    token.secret.reveal().to_owned()
}

/// An address with something in the place of each parameter.
fn address(path: &str) -> String {
    path.split('/')
        .map(|part| match part {
            "{*name}" => "karat.css",
            "{name}" => "nobody",
            part if part.starts_with('{') => "999999",
            part => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

/// What came of a request from another machine, in a word.
async fn outcome(server: &Server, method: &Method, path: &str, bearer: Option<&str>) -> &'static str {
    let mut request = server.request(method.clone(), &address(path)).header("sec-fetch-site", "same-origin");
    request = request.header("x-forwarded-for", "192.0.2.1");
    if let Some(token) = bearer {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    match answer.status().as_u16() {
        401 => "log in",
        403 => "refused",
        _ => "allowed",
    }
}

#[tokio::test]
async fn every_route_is_in_the_table() {
    let server = Server::new().await;
    let mut declared = routes::declared();
    let description = server.get("/api/openapi.json").await;
    assert_eq!(description.status, 200, "{}", description.text);
    declared.extend(routes::described(&serde_json::from_str(&description.text).unwrap()));
    let table = table();
    let missing: Vec<_> = declared.iter().filter(|route| !table.contains_key(*route)).collect();
    let gone: Vec<_> = table.keys().filter(|route| !declared.contains(*route)).collect();
    assert!(missing.is_empty(), "say in the table of tests/web/access.rs who may: {missing:#?}");
    assert!(gone.is_empty(), "these are no routes any more: {gone:#?}");
}

#[tokio::test]
async fn every_route_is_open_to_who_may_and_to_nobody_else() {
    let server = with_people().await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, token_of(&server, role).await));
    }
    let mut wrong = Vec::new();
    for (route, needed) in table() {
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut expect = |who: String, expected: &str, outcome: &str| {
            if expected != outcome {
                wrong.push(format!("{route} by {who}: {outcome}, not {expected}"));
            }
        };
        let nobody = if needed.is_none() { "allowed" } else { "log in" };
        let methods = if method == Method::GET { vec![Method::GET, Method::HEAD] } else { vec![method] };
        for method in methods {
            expect("nobody".to_owned(), nobody, outcome(&server, &method, path, None).await);
            let invalid = if needed.is_none() { "allowed" } else { "log in" };
            expect("a wrong token".to_owned(), invalid, outcome(&server, &method, path, Some("karat_0")).await);
            for (role, token) in &tokens {
                let allowed = needed.is_none_or(|needed| *role >= needed);
                let expected = if allowed { "allowed" } else { "refused" };
                expect(format!("{role}"), expected, outcome(&server, &method, path, Some(token)).await);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn what_changes_something_is_refused_when_a_page_of_another_site_asks() {
    let server = with_people().await;
    let cookie = cookie_of_root(&server).await;
    let unsafe_routes: Vec<String> = table().into_keys().filter(|route| !route.starts_with("GET ")).collect();
    assert!(unsafe_routes.len() > 5);
    let own = format!("http://{}", server.address);
    for route in unsafe_routes {
        let (method, path) = route.split_once(' ').unwrap();
        for headers in [
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site")],
            vec![("origin", "https://evil.example")],
            vec![("origin", "null")],
            vec![("origin", "http://127.0.0.1:1")],
            vec![("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        ] {
            let mut request = server.request(method.parse().unwrap(), &address(path)).header(COOKIE, &cookie);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let answer = server.send(request).await;
            assert_eq!(answer.status, 403, "{route} {headers:?}");
            assert!(answer.text.contains("came from a page of another site"), "{route}: {}", answer.text);
        }
    }
    // From one of these pages it goes through, by either way to tell.
    for (name, value) in [("sec-fetch-site", "same-origin"), ("origin", own.as_str())] {
        let request = server.request(Method::POST, "/preferences").header(name, value);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body("theme=dark");
        assert_eq!(server.send(request).await.status, 303, "{name}");
    }
}

#[tokio::test]
async fn no_route_takes_a_method_that_is_not_its_own() {
    let server = with_people().await;
    let token = token_of(&server, Role::Admin).await;
    let table = table();
    let paths: std::collections::BTreeSet<&str> =
        table.keys().filter_map(|route| Some(route.split_once(' ')?.1)).collect();
    for path in paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE] {
            if table.contains_key(&format!("{method} {path}")) {
                continue;
            }
            let request = server.request(method.clone(), &address(path)).bearer_auth(&token);
            let status = request.header("sec-fetch-site", "same-origin").send().await.unwrap().status().as_u16();
            assert!(matches!(status, 404 | 405), "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn a_person_without_a_login_is_led_to_it_and_back() {
    let server = with_people().await;
    let browser = |path: &str| server.request(Method::GET, path).header("accept", "text/html,*/*");
    let answer = server.send(browser("/settings/tokens?a=b&c=d")).await;
    assert_eq!(
        (answer.status, answer.header(LOCATION.as_str())),
        (303, "/login?next=%2Fsettings%2Ftokens%3Fa%3Db%26c%3Dd")
    );
    // A part of a page leads the whole page there.
    let part = server.send(browser("/").header("hx-request", "true")).await;
    assert_eq!((part.status, part.header("hx-redirect")), (401, "/login?next=%2F"));
    // A program gets an answer that it understands.
    let program = server.get("/").await;
    assert_eq!((program.status, program.header("www-authenticate")), (401, "Bearer realm=\"karat\""));
    let wrong = server.send(server.request(Method::GET, "/").bearer_auth("karat_0")).await;
    assert!(
        wrong.status == 401 && wrong.text.contains("the token is none, or is not valid any more"),
        "{}",
        wrong.text
    );
    let basic = server.send(server.request(Method::GET, "/").header("authorization", "Basic cm9vdDpyb290")).await;
    assert_eq!(basic.status, 401);
}

#[tokio::test]
async fn somebody_who_may_not_is_told_so() {
    let server = with_people().await;
    let token = token_of(&server, Role::Viewer).await;
    let answer = server.send(server.request(Method::GET, "/settings/users").bearer_auth(&token)).await;
    assert_eq!(answer.status, 403);
    assert!(answer.main().contains("Your role does not allow this"), "{}", answer.text);
    let german = server.request(Method::GET, "/settings/users").bearer_auth(&token).header("accept-language", "de");
    assert!(server.send(german).await.main().contains("Deine Rolle erlaubt das nicht"));
}

#[tokio::test]
async fn without_users_only_this_very_machine_is_shown_the_pages() {
    let server = Server::new().await;
    let port = server.address.port();
    for host in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "demo.localhost".to_owned(), "[::1]:80".to_owned()]
    {
        let answer = server.send(server.request(Method::GET, "/").header("host", &host)).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    // A page elsewhere whose name leads here, and proxies of all kinds.
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "localhost.evil.example"),
        ("host", "127.0.0.1.evil.example"),
        ("host", "192.0.2.1"),
        ("host", ""),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "karat.example"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 proxy"),
    ] {
        for path in ["/", "/metrics", "/settings/users", "/login"] {
            let answer = server.send(server.request(Method::GET, path).header(name, value)).await;
            assert_eq!(
                answer.status,
                if value.is_empty() { answer.status.max(400) } else { 403 },
                "{name}: {value} {path}"
            );
        }
    }
    let answer = server.send(server.request(Method::GET, "/").header("host", "evil.example")).await;
    assert!(answer.main().contains("There are no users yet"), "{}", answer.text);
    // What speaks the oldest of all need not say that it passes on what another asks.
    for (version, status) in [("1.1", "200"), ("1.0", "403")] {
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET / HTTP/{version}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let said = answer.split(' ').nth(1).unwrap();
        assert_eq!(said, status, "HTTP/{version}: {answer}");
    }
}

#[tokio::test]
async fn strangers_are_not_told_what_is_wrong_with_the_database() {
    let server = with_people().await;
    sqlx::query("alter table karat.account rename to account_away").execute(&server.lake.pool).await.unwrap();
    let fields = [("name", "root"), ("password", "correct horse battery")];
    let form = |fields: &[(&str, &str)]| {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = server.request(Method::POST, "/login").header("sec-fetch-site", "same-origin");
        request.header("content-type", "application/x-www-form-urlencoded").body(body.join("&"))
    };
    let told = server.send(form(&fields)).await;
    assert!(told.status == 503 && told.text.contains("does not exist"), "{}", told.text);
    let stranger = server.send(form(&fields).header("x-forwarded-for", "192.0.2.1")).await;
    assert!(stranger.status == 503 && !stranger.text.contains("does not exist"), "{}", stranger.text);
}

#[test]
fn whatever_a_page_changes_it_changes_in_somebodys_name() {
    const CHANGES: [&str; 19] = [
        "launch",
        "retry_run",
        "retry_backfill",
        "cancel_run",
        "resume_run",
        "cancel_backfill",
        "pause_backfill",
        "resume_backfill",
        "pause_schedule",
        "resume_schedule",
        "trigger_schedule",
        "change_sensor",
        "release_quarantined",
        "discard_quarantined",
        "collect_garbage",
        "test_channel",
        "create_token",
        "revoke_token",
        "migrate",
    ];
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for change in CHANGES {
            let text: String = text.split_whitespace().collect();
            let nameless = format!("app.service.{change}(");
            assert!(
                !text.contains(&nameless),
                "{}: `{nameless}` is recorded in nobody's name: take `operator.service(&app)`",
                path.display()
            );
        }
    }
}
