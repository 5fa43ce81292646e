//! Logging in and out, sessions, users and tokens on the pages.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use karat::service::{AuditQuery, Identity, LoginAttempt, LoginProvider, Role};
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, RequestBuilder};
use tracing_subscriber::fmt::MakeWriter;

use crate::access::{cookie_of_root, make_root, token_of, with_people};
use crate::look::shot;
use crate::server::{Answer, Server, encoded};

const PASSWORD: &str = "correct horse battery";

/// A form as somebody sends it who has this cookie.
fn form(server: &Server, cookie: &str, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    server
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .header(COOKIE, cookie)
        .body(body.join("&"))
}

async fn with_cookie(server: &Server, cookie: &str, path: &str) -> Answer {
    server.send(server.request(Method::GET, path).header(COOKIE, cookie)).await
}

#[tokio::test]
async fn somebody_logs_in_looks_and_logs_out() {
    let server = with_people().await;
    let page = server.get("/login?next=%2Faudit").await;
    assert_eq!(page.status, 200);
    shot("login_form", &page);
    let wrong = server.post("/login", &[("name", "root"), ("password", "wrong"), ("next", "/audit")]).await;
    assert_eq!(wrong.status, 401);
    shot("login_wrong", &wrong);
    assert!(wrong.headers.get(SET_COOKIE).is_none() && !wrong.text.contains("\"wrong\""));
    let right = server.post("/login", &[("name", "Root"), ("password", PASSWORD), ("next", "/audit")]).await;
    assert_eq!((right.status, right.header("location")), (303, "/audit"));
    let set = right.headers[SET_COOKIE].to_str().unwrap();
    for wanted in ["karat_session=", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=2592000"] {
        assert!(set.contains(wanted), "{set}");
    }
    assert!(!set.contains("Secure"), "the connection is not encrypted: {set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let page = with_cookie(&server, &cookie, "/audit").await;
    assert!(page.text.contains("Log out"), "{}", page.text);
    shot("audit_some", &page);
    shot("audit_none_match", &with_cookie(&server, &cookie, "/audit?user=nobody").await);
    assert_eq!(with_cookie(&server, &cookie, "/login").await.status, 303, "who is in need not log in");
    let out = server.send(form(&server, &cookie, "/logout", &[])).await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.headers[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(with_cookie(&server, &cookie, "/audit").await.status, 401, "the cookie is worth nothing any more");
}

#[tokio::test]
async fn a_cookie_that_was_tampered_with_is_worth_nothing() {
    let server = with_people().await;
    let cookie = cookie_of_root(&server).await;
    let session = server.service.session_caller(&cookie[cookie.len() - 64..], None).await.unwrap();
    assert!(session.is_some(), "the secret stands at the end of the cookie: {cookie}");
    assert_eq!(with_cookie(&server, &cookie, "/").await.status, 200);
    let unsigned = format!("karat_session={}", &cookie[cookie.len() - 64..]);
    let mut other = cookie.clone();
    other.replace_range(20..21, if &other[20..21] == "A" { "B" } else { "A" });
    for cookie in [unsigned, other, "karat_session=".to_owned(), "karat_session=x; karat_session=y".to_owned()] {
        assert_eq!(with_cookie(&server, &cookie, "/").await.status, 401, "{cookie}");
    }
}

#[tokio::test]
async fn the_cookie_of_an_encrypted_connection_goes_over_no_other() {
    let server = with_people().await;
    for (name, value) in [("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.1;proto=https")] {
        let request = form(&server, "", "/login", &[("name", "root"), ("password", PASSWORD)]).header(name, value);
        let answer = server.send(request).await;
        assert!(answer.headers[SET_COOKIE].to_str().unwrap().contains("; Secure"), "{name}");
    }
}

#[tokio::test]
async fn a_login_leads_nowhere_else() {
    let server = with_people().await;
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""] {
        let answer = server.post("/login", &[("name", "root"), ("password", PASSWORD), ("next", next)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{next}");
    }
}

#[tokio::test]
async fn too_many_failures_are_answered_with_how_long_to_wait() {
    let server = with_people().await;
    let wrong = [("name", "root"), ("password", "wrong")];
    for _ in 0..5 {
        assert_eq!(server.post("/login", &wrong).await.status, 401);
    }
    let throttled = server.post("/login", &wrong).await;
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, "2"));
    shot("login_throttled", &throttled);
    let german = form(&server, "", "/login", &wrong).header("accept-language", "de");
    assert!(server.send(german).await.main().contains("Der nächste Versuch ist in 2 s möglich."));
    server.lake.clock.advance(Duration::from_secs(2));
    assert_eq!(server.post("/login", &[("name", "root"), ("password", PASSWORD)]).await.status, 303);
}

#[tokio::test]
async fn logins_through_a_proxy_here_are_counted_by_who_it_says_they_are() {
    let server = with_people().await;
    for number in 0..20 {
        let fields = [("name", format!("name{number}")), ("password", "wrong".to_owned())];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // What stands before the last one was written by whoever asks, and changes nothing.
        let request =
            form(&server, "", "/login", &fields).header("x-forwarded-for", format!("203.0.113.{number}, 192.0.2.7"));
        assert_eq!(server.send(request).await.status, 401);
    }
    let right = [("name", "root"), ("password", PASSWORD)];
    let same = form(&server, "", "/login", &right).header("x-forwarded-for", "192.0.2.7");
    assert_eq!(server.send(same).await.status, 429);
    let other = form(&server, "", "/login", &right).header("x-forwarded-for", "192.0.2.8");
    assert_eq!(server.send(other).await.status, 303);
    let records = server.service.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(records[0].address.as_deref(), Some("192.0.2.8"));
}

#[tokio::test]
async fn an_open_page_hears_nothing_more_when_its_session_ends() {
    let server = with_people().await;
    let cookie = cookie_of_root(&server).await;
    let mut live = server.request(Method::GET, "/live").header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(live.status(), 200);
    assert_eq!(server.service.end_sessions("root").await.unwrap(), 1);
    let ended = tokio::time::timeout(Duration::from_secs(20), async { while live.chunk().await.unwrap().is_some() {} });
    ended.await.expect("the stream ends");
}

#[tokio::test]
async fn a_program_ends_the_sessions_of_a_user() {
    let server = with_people().await;
    let cookie = cookie_of_root(&server).await;
    let token = token_of(&server, Role::Admin).await;
    let logout = |user: &str| server.request(Method::POST, &format!("/api/v1/users/{user}/logout")).bearer_auth(&token);
    let ended = server.send(logout("root")).await;
    assert_eq!((ended.status, ended.text.as_str()), (200, r#"{"ended":1}"#));
    assert_eq!(with_cookie(&server, &cookie, "/audit").await.status, 401);
    assert_eq!(server.send(logout("nobody")).await.status, 404);
}

#[tokio::test]
async fn users_are_made_changed_and_disabled_on_a_page() {
    let server = with_people().await;
    let cookie = cookie_of_root(&server).await;
    let send = async |path: &str, fields: &[(&str, &str)]| server.send(form(&server, &cookie, path, fields)).await;
    let made = send("/settings/users", &[("name", "vera"), ("role", "viewer"), ("password", PASSWORD)]).await;
    assert_eq!((made.status, made.header("location")), (303, "/settings/users?done=add&name=vera"));
    let generated = send("/settings/users", &[("name", "otto"), ("role", "operator"), ("password", "")]).await;
    assert_eq!(generated.status, 200);
    shot("users_secret", &generated);
    shot("users_some", &with_cookie(&server, &cookie, "/settings/users?done=add&name=vera").await);
    let secret = generated.text.split("<code class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(server.post("/login", &[("name", "otto"), ("password", &secret)]).await.status, 303);
    let short = send("/settings/users", &[("name", "eve"), ("role", "viewer"), ("password", "short")]).await;
    shot("users_refused", &short);
    for (path, fields, done) in [
        ("/settings/users/otto/role", vec![("role", "viewer")], "role"),
        ("/settings/users/otto/password", vec![("password", PASSWORD)], "passwd"),
        ("/settings/users/otto/logout", vec![], "logout"),
        ("/settings/users/otto/disable", vec![], "disable"),
    ] {
        let answer = send(path, &fields).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        assert_eq!(answer.header("location"), format!("/settings/users?done={done}&name=otto"));
    }
    shot("login_disabled", &server.post("/login", &[("name", "otto"), ("password", PASSWORD)]).await);
    shot("users_disabled", &with_cookie(&server, &cookie, "/settings/users?done=disable&name=otto").await);
    let last = send("/settings/users/root/disable", &[]).await;
    assert!(last.status == 422 && last.text.contains("root is the last admin who can log in"), "{}", last.text);
    shot("users_unknown", &send("/settings/users/nobody/disable", &[]).await);
    assert_eq!(send("/settings/users/vera/role", &[("role", "emperor")]).await.status, 422);
    let page =
        with_cookie(&server, &cookie, "/settings/users?done=disable&name=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    assert!(page.main().contains("disabled") && page.main().contains("lake user disable"), "{}", page.text);
    let audit = with_cookie(&server, &cookie, "/audit?user=root&action=user").await;
    assert_eq!(audit.main().matches("<td>root</td>").count(), 6, "{}", audit.text);
}

#[tokio::test]
async fn everybody_has_a_password_and_tokens_of_their_own() {
    let server = with_people().await;
    let password = karat::service::Password::chosen(PASSWORD.to_owned()).unwrap();
    server.service.create_account("vera", Role::Viewer, Some(&password)).await.unwrap();
    let login = server.post("/login", &[("name", "vera"), ("password", PASSWORD)]).await;
    let cookie = login.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let send = async |path: &str, fields: &[(&str, &str)]| server.send(form(&server, &cookie, path, fields)).await;
    shot("tokens_none", &with_cookie(&server, &cookie, "/settings/tokens").await);
    shot("account_own", &with_cookie(&server, &cookie, "/settings/account").await);
    let name = "<img src=x onerror=alert(1)>";
    let made = send("/settings/tokens", &[("name", name), ("role", "viewer"), ("days", "30")]).await;
    assert_eq!(made.status, 200);
    assert!(!made.text.contains(name), "{}", made.text);
    shot("tokens_secret", &made);
    let token = made.text.split("<code class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(server.send(server.request(Method::GET, "/").bearer_auth(&token)).await.status, 200);
    shot("tokens_refused", &send("/settings/tokens", &[("name", "more"), ("role", "admin"), ("days", "")]).await);
    assert_eq!(send("/settings/tokens", &[("name", "x"), ("role", "viewer"), ("days", "-1")]).await.status, 400);
    let list = with_cookie(&server, &cookie, "/settings/tokens").await;
    let id = list.text.split("/settings/tokens/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let others = server.service.create_token("root", "of root", Role::Viewer, None).await.unwrap();
    let of_root = format!("/settings/tokens/{}/revoke", others.token.token_id);
    assert_eq!(send(&of_root, &[]).await.status, 404, "another's is not there");
    assert_eq!(send(&format!("/settings/tokens/{id}/revoke"), &[]).await.status, 303);
    assert_eq!(server.send(server.request(Method::GET, "/").bearer_auth(&token)).await.status, 401);
    shot("tokens_revoked", &with_cookie(&server, &cookie, "/settings/tokens").await);
    assert!(!list.text.contains("of root") && !list.text.contains("/audit\""), "{}", list.text);
    // The password.
    let fields = |current, password, again| [("current", current), ("password", password), ("again", again)];
    let other = "another fine password";
    for (fields, status) in [
        (fields("wrong", other, other), 422),
        (fields(PASSWORD, other, "not the same"), 422),
        (fields(PASSWORD, "short", "short"), 422),
        (fields(PASSWORD, other, other), 303),
    ] {
        let answer = send("/settings/account/password", &fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
        if fields[0].1 == "wrong" {
            shot("account_refused", &answer);
        }
    }
    shot("account_changed", &with_cookie(&server, &cookie, "/settings/account?done=passwd").await);
    let page = with_cookie(&server, &cookie, "/settings/account").await;
    assert!(page.status == 200 && page.main().contains("this one"), "{}", page.text);
    assert_eq!(server.post("/login", &[("name", "vera"), ("password", PASSWORD)]).await.status, 401);
}

#[tokio::test]
async fn without_users_the_pages_about_them_say_how_to_begin() {
    let server = Server::new().await;
    shot("users_none", &server.get("/settings/users").await);
    shot("tokens_local", &server.get("/settings/tokens").await);
    shot("account_local", &server.get("/settings/account").await);
    shot("audit_none", &server.get("/audit").await);
    assert_eq!(server.get("/login").await.status, 303);
    // The first one closes the door behind itself.
    let made = server.post("/settings/users", &[("name", "ada"), ("role", "admin"), ("password", PASSWORD)]).await;
    assert_eq!(made.status, 303, "{}", made.text);
    assert_eq!(server.get("/settings/users").await.status, 401);
    let records = server.service.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await.unwrap();
    assert_eq!((records[0].who.as_str(), records[0].via.as_str()), ("local", "local"));
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn nothing_that_lets_somebody_in_is_logged() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(captured.clone())
        .finish();
    // With a single subscriber, another test's thread could say for all that nobody listens.
    let _second: tracing::Dispatch = tracing_subscriber::registry().into();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = with_people().await;
    let cookie = cookie_of_root(&server).await;
    server.post("/login", &[("name", "a secret in the wrong field"), ("password", "a wrong secret")]).await;
    with_cookie(&server, &cookie, "/").await;
    let token = token_of(&server, Role::Admin).await;
    server.send(server.request(Method::GET, "/").bearer_auth(&token)).await;
    server
        .send(form(
            &server,
            &cookie,
            "/settings/users",
            &[("name", "x"), ("role", "viewer"), ("password", "yet another secret")],
        ))
        .await;
    let logged = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("karat.session"), "statements are logged: {logged}");
    let session = &cookie[cookie.len() - 64..];
    for secret in [PASSWORD, "a wrong secret", "a secret in the wrong field", "yet another secret", session, &token] {
        assert!(!logged.contains(secret) && !logged.contains(&encoded(secret)), "{secret} is logged");
    }
}

/// A club that knows Grace, and whoever says `broken` breaks it.
struct Club;

impl LoginProvider for Club {
    fn name(&self) -> &str {
        "club"
    }

    fn title(&self) -> &str {
        "The Club"
    }

    fn authorize_url(&self, attempt: &LoginAttempt) -> String {
        format!("https://club.example/authorize?state={}&challenge={}", attempt.state(), attempt.challenge())
    }

    fn identify<'a>(
        &'a self,
        code: &'a str,
        attempt: &'a LoginAttempt,
    ) -> BoxFuture<'a, Result<Option<Identity>, String>> {
        assert_eq!(attempt.verifier().len(), 64);
        let identity = match code {
            "broken" => Err("the club burns".to_owned()),
            "stranger" => Ok(None),
            name => Ok(Some(Identity { subject: name.to_owned(), name: name.to_owned(), role: Role::Operator })),
        };
        Box::pin(async move { identity })
    }
}

/// Somebody sets out for the club: the cookie, and the state they come back with.
async fn set_out(server: &Server) -> (String, String) {
    let away = server.get("/login/with/club").await;
    let set = away.headers[SET_COOKIE].to_str().unwrap();
    for wanted in ["karat_login=", "; HttpOnly", "; SameSite=Lax", "; Path=/login", "; Max-Age=600"] {
        assert!(set.contains(wanted), "{set}");
    }
    let state = away.header("location").split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(away.status, 303);
    (set.split(';').next().unwrap().to_owned(), state)
}

#[tokio::test]
async fn a_provider_sends_people_back_with_who_they_are() {
    let server = Server::with_providers(vec![Arc::new(Club)]).await;
    assert_eq!(server.get("/login/with/club").await.status, 403, "the first account is made by hand");
    make_root(&server).await;
    shot("login_providers", &server.get("/login").await);
    let (cookie, state) = set_out(&server).await;
    let back = with_cookie(&server, &cookie, &format!("/login/from/club?code=grace&state={state}")).await;
    assert_eq!((back.status, back.header("location")), (303, "/"));
    let set: Vec<&str> = back.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
    assert!(set.iter().any(|set| set.starts_with("karat_login=") && set.contains("Max-Age=0")), "{set:?}");
    let session = set.iter().find(|set| set.starts_with("karat_session=")).unwrap();
    assert!(session.contains("Max-Age=86400"), "the club is asked again after a day: {session}");
    let session = session.split(';').next().unwrap();
    assert!(with_cookie(&server, session, "/").await.text.contains(">grace</a>"));
    assert_eq!(with_cookie(&server, session, "/audit").await.status, 403);
}

#[tokio::test]
async fn nobody_is_let_in_by_an_answer_to_another_question() {
    let server = Server::with_providers(vec![Arc::new(Club)]).await;
    make_root(&server).await;
    let (cookie, state) = set_out(&server).await;
    let (_, of_other) = set_out(&server).await;
    for (cookie, query) in [
        ("", format!("code=grace&state={state}")),
        (cookie.as_str(), format!("code=grace&state={of_other}")),
        (cookie.as_str(), "code=grace".to_owned()),
        (cookie.as_str(), format!("state={state}&error=access_denied")),
        ("karat_login=0.0", "code=grace&state=0".to_owned()),
    ] {
        let back = with_cookie(&server, cookie, &format!("/login/from/club?{query}")).await;
        assert_eq!((back.status, back.header("location")), (303, "/login"), "{query}");
        assert!(back.headers.get(SET_COOKIE).is_none(), "{query}");
    }
    for (code, status, said) in [
        ("stranger", 401, "The Club says that you have no role here."),
        ("broken", 502, "The Club could not be asked who you are."),
        ("root", 401, "there is no account for root"),
    ] {
        let back = with_cookie(&server, &cookie, &format!("/login/from/club?code={code}&state={state}")).await;
        assert!(back.status == status && back.main().contains(said), "{code}: {} {}", back.status, back.text);
        assert!(back.headers.get(SET_COOKIE).is_none(), "{code}");
        match code {
            "stranger" => shot("login_from_stranger", &back),
            "broken" => shot("login_from_broken", &back),
            _ => shot("login_from_taken", &back),
        }
    }
    shot("login_with_unknown", &server.get("/login/with/nobody").await);
    assert_eq!(server.get("/login/with/nobody").await.status, 404);
    assert_eq!(server.get("/login/from/nobody?code=a&state=b").await.status, 404);
}
