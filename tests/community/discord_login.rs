//! Logging in with Discord, against a Discord of our own that checks what it is shown.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use community::discord_login::{DiscordLogin, DiscordLoginSettings};
use karat::service::{LoginAttempt, LoginProvider, Role};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const SETTINGS: DiscordLoginSettings<'static> = DiscordLoginSettings {
    client_id: "4711",
    secret: "s3cr3t of the application",
    server: "99",
    roles: "admin=100, operator=200,viewer=*",
    pages: "https://karat.example/some/where?x=y",
};

/// What a browser brought to Discord, by the code it was sent back with.
#[derive(Clone, Default)]
struct Discord {
    asked: Arc<Mutex<HashMap<String, HashMap<String, String>>>>,
}

struct Running {
    discord: Discord,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Running {
    async fn start() -> Self {
        let discord = Discord::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/api/oauth2/token", post(token))
            .route("/api/v10/users/@me/guilds/{server}/member", get(member))
            .with_state(discord.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { discord, address, server }
    }

    fn login(&self) -> DiscordLogin {
        DiscordLogin::at(&format!("http://{}", self.address), &SETTINGS).unwrap()
    }

    /// Somebody agrees at Discord to what they were sent there with.
    fn agree(&self, login: &DiscordLogin, attempt: &LoginAttempt, who: &str) -> String {
        let url = Url::parse(&login.authorize_url(attempt)).unwrap();
        assert_eq!(url.path(), "/oauth2/authorize");
        self.discord.asked.lock().unwrap().insert(who.to_owned(), url.query_pairs().into_owned().collect());
        who.to_owned()
    }
}

/// What a proof is told by in the beginning.
fn challenge(verifier: &str) -> String {
    use sha2::{Digest, Sha256};
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = Sha256::digest(verifier.as_bytes()).iter().map(|byte| format!("{byte:08b}")).collect();
    let groups = bits.as_bytes().chunks(6).map(|six| format!("{:0<6}", std::str::from_utf8(six).unwrap()));
    groups.map(|six| char::from(ALPHABET[usize::from_str_radix(&six, 2).unwrap()])).collect()
}

async fn token(
    State(discord): State<Discord>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    // 4711:s3cr3t of the application
    if headers["authorization"] != "Basic NDcxMTpzM2NyM3Qgb2YgdGhlIGFwcGxpY2F0aW9u" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let asked = discord.asked.lock().unwrap().remove(&form["code"]).ok_or(StatusCode::BAD_REQUEST)?;
    let proves =
        asked["code_challenge"] == challenge(&form["code_verifier"]) && asked["code_challenge_method"] == "S256";
    let same = asked["redirect_uri"] == form["redirect_uri"] && form["grant_type"] == "authorization_code";
    let wants = asked["scope"] == "identify guilds.members.read" && asked["client_id"] == "4711";
    if !(proves && same && wants && asked["response_type"] == "code") {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(Json(json!({ "access_token": form["code"], "token_type": "Bearer", "expires_in": 600 })))
}

async fn member(Path(server): Path<String>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    assert_eq!(server, "99");
    let who = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let roles = match who {
        "grace" => json!(["7", "100", "200"]),
        "otto" => json!(["200"]),
        "vera" => json!([]),
        "stranger" => return Err(StatusCode::NOT_FOUND),
        _ => return Err(StatusCode::INTERNAL_SERVER_ERROR),
    };
    Ok(Json(json!({ "user": { "id": format!("id of {who}"), "username": who, "global_name": "…" }, "roles": roles })))
}

#[tokio::test]
async fn members_get_the_role_that_their_roles_stand_for() {
    let running = Running::start().await;
    let login = running.login();
    for (who, role) in [("grace", Role::Admin), ("otto", Role::Operator), ("vera", Role::Viewer)] {
        let attempt = LoginAttempt::begin();
        let code = running.agree(&login, &attempt, who);
        let identity = login.identify(&code, &attempt).await.unwrap().unwrap();
        assert_eq!((identity.subject, identity.name.as_str(), identity.role), (format!("id of {who}"), who, role));
    }
    let attempt = LoginAttempt::begin();
    let code = running.agree(&login, &attempt, "stranger");
    assert_eq!(login.identify(&code, &attempt).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_got_hold_of_a_code_has_nothing_without_the_proof() {
    let running = Running::start().await;
    let login = running.login();
    let code = running.agree(&login, &LoginAttempt::begin(), "grace");
    let error = login.identify(&code, &LoginAttempt::begin()).await.unwrap_err();
    assert_eq!(error, "Discord answered 400 Bad Request to the code");
    // A code is good for one login.
    let attempt = LoginAttempt::begin();
    let code = running.agree(&login, &attempt, "grace");
    assert!(login.identify(&code, &attempt).await.is_ok());
    assert!(login.identify(&code, &attempt).await.is_err());
}

#[tokio::test]
async fn a_discord_that_is_out_of_order_lets_nobody_in() {
    let running = Running::start().await;
    let login = running.login();
    let attempt = LoginAttempt::begin();
    let code = running.agree(&login, &attempt, "broken");
    let error = login.identify(&code, &attempt).await.unwrap_err();
    assert_eq!(error, "Discord answered 500 Internal Server Error when it was asked for the member");
    let nowhere = DiscordLogin::at("http://127.0.0.1:1", &SETTINGS).unwrap();
    let error = nowhere.identify("code", &attempt).await.unwrap_err();
    assert!(!error.contains("s3cr3t") && !error.contains("127.0.0.1:1/"), "{error}");
}

#[test]
fn people_are_sent_to_discord_and_back_to_the_pages() {
    let login = DiscordLogin::new(&SETTINGS).unwrap();
    let attempt = LoginAttempt::begin();
    let url = Url::parse(&login.authorize_url(&attempt)).unwrap();
    assert_eq!((url.scheme(), url.host_str()), ("https", Some("discord.com")));
    let pairs: HashMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!(pairs["redirect_uri"], "https://karat.example/login/from/discord");
    assert_eq!(
        (pairs["state"].as_str(), pairs["code_challenge"].as_str()),
        (attempt.state(), challenge(attempt.verifier()).as_str())
    );
    assert!(!url.as_str().contains(attempt.verifier()) && !url.as_str().contains("s3cr3t"));
    assert!(!format!("{login:?} {attempt:?}").contains("s3cr3t"));
    let again = LoginAttempt::resumed(attempt.kept().reveal()).unwrap();
    assert_eq!((again.state(), again.verifier()), (attempt.state(), attempt.verifier()));
    for wrong in ["", ".", "a.b", attempt.state()] {
        assert!(LoginAttempt::resumed(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn settings_that_will_not_do_are_refused_with_why() {
    let refused = |settings: DiscordLoginSettings<'static>| DiscordLogin::new(&settings).map(drop).unwrap_err();
    for (settings, said) in [
        (DiscordLoginSettings { client_id: "my app", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_CLIENT: an id"),
        (DiscordLoginSettings { server: "", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_SERVER: an id"),
        (DiscordLoginSettings { secret: " ", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_SECRET: the application's secret"),
        (DiscordLoginSettings { roles: "", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_ROLES: nobody could log in"),
        (DiscordLoginSettings { roles: "admin=*", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_ROLES: every member may be"),
        (DiscordLoginSettings { roles: "chief=1", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_ROLES: write admin=ID"),
        (DiscordLoginSettings { roles: "admin", ..SETTINGS }, "COMMUNITY_DISCORD_LOGIN_ROLES: write admin=ID"),
        (
            DiscordLoginSettings { pages: "karat.example", ..SETTINGS },
            "COMMUNITY_DISCORD_LOGIN_PAGES: write the address",
        ),
    ] {
        let error = refused(settings);
        assert!(error.starts_with(said), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
