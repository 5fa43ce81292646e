//! Logging in with Discord: whoever is a member of the community's server gets the role that their roles there stand for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use karat::service::{Identity, LoginAttempt, LoginProvider, Role};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

/// Where Discord is.
const DISCORD: &str = "https://discord.com";

/// How long Discord may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// What holds the id of the application that was made for this at Discord; without it, nobody logs in with Discord.
pub const CLIENT_VARIABLE: &str = "COMMUNITY_DISCORD_LOGIN_CLIENT";

/// What holds the application's secret; with `_FILE` behind it, what holds the name of a file with it.
pub const SECRET_VARIABLE: &str = "COMMUNITY_DISCORD_LOGIN_SECRET";

/// What holds the id of the community's server at Discord.
pub const SERVER_VARIABLE: &str = "COMMUNITY_DISCORD_LOGIN_SERVER";

/// What says which role at Discord stands for which here: `admin=ID,operator=ID,viewer=*`; `*` is every member.
pub const ROLES_VARIABLE: &str = "COMMUNITY_DISCORD_LOGIN_ROLES";

/// What holds the address of these pages, as browsers know it: `https://karat.example.org`.
pub const PAGES_VARIABLE: &str = "COMMUNITY_DISCORD_LOGIN_PAGES";

/// Whoever has this role at Discord has that one here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapped {
    /// The role's id at Discord; `None` is every member.
    theirs: Option<String>,
    ours: Role,
}

/// A server at Discord whose members may log in. It does not show its secret.
pub struct DiscordLogin {
    client: reqwest::Client,
    discord: Url,
    client_id: String,
    secret: String,
    server: String,
    roles: Vec<Mapped>,
    pages: Url,
}

impl std::fmt::Debug for DiscordLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("DiscordLogin");
        shown.field("client_id", &self.client_id).field("server", &self.server).field("roles", &self.roles);
        shown.finish_non_exhaustive()
    }
}

/// What the environment says.
#[derive(Clone)]
pub struct DiscordLoginSettings<'a> {
    /// The application's id at Discord.
    pub client_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// The community's server.
    pub server: &'a str,
    /// Which role there stands for which here.
    pub roles: &'a str,
    /// The address of these pages.
    pub pages: &'a str,
}

impl DiscordLogin {
    /// Logins as `settings` say, at the Discord of the world.
    ///
    /// # Errors
    /// A sentence for whoever wrote them.
    pub fn new(settings: &DiscordLoginSettings<'_>) -> Result<Self, String> {
        Self::at(DISCORD, settings)
    }

    /// Logins at another Discord, for tests.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn at(discord: &str, settings: &DiscordLoginSettings<'_>) -> Result<Self, String> {
        let is_id = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        for (variable, id) in [(CLIENT_VARIABLE, settings.client_id), (SERVER_VARIABLE, settings.server)] {
            if !is_id(id.trim()) {
                return Err(format!("{variable}: an id at Discord is a number: copy it in Discord's developer mode"));
            }
        }
        let mut roles = Vec::new();
        for pair in settings.roles.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let wrong = || format!("{ROLES_VARIABLE}: write admin=ID,operator=ID,viewer=*, and not `{pair}`");
            let (ours, theirs) = pair.split_once('=').ok_or_else(wrong)?;
            let ours = ours.trim().parse().map_err(|_| wrong())?;
            let theirs = match theirs.trim() {
                // Whoever finds an invitation is a member.
                "*" if ours == Role::Viewer => None,
                "*" => return Err(format!("{ROLES_VARIABLE}: every member may be a viewer, and no more")),
                id if is_id(id) => Some(id.to_owned()),
                _ => return Err(wrong()),
            };
            roles.push(Mapped { theirs, ours });
        }
        if roles.is_empty() {
            return Err(format!("{ROLES_VARIABLE}: nobody could log in: write admin=ID,operator=ID,viewer=*"));
        }
        if settings.secret.trim().is_empty() {
            return Err(format!("{SECRET_VARIABLE}: the application's secret is missing"));
        }
        let pages = Url::parse(settings.pages.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                format!("{PAGES_VARIABLE}: write the address of the pages, such as https://karat.example.org")
            })?;
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self {
            client: client.map_err(|error| error.to_string())?,
            discord: Url::parse(discord).map_err(|error| error.to_string())?,
            client_id: settings.client_id.trim().to_owned(),
            secret: settings.secret.trim().to_owned(),
            server: settings.server.trim().to_owned(),
            roles,
            pages,
        })
    }

    /// Where Discord sends people back to; the same has to stand in the application's settings there.
    fn redirect_uri(&self) -> String {
        self.url(&self.pages, "/login/from/discord").to_string()
    }

    fn url(&self, base: &Url, path: &str) -> Url {
        let mut url = base.clone();
        url.set_path(path);
        url.set_query(None);
        url.set_fragment(None);
        url
    }

    /// The most that any of these roles stands for.
    fn role(&self, theirs: &[String]) -> Option<Role> {
        let stands = |mapped: &&Mapped| mapped.theirs.as_ref().is_none_or(|id| theirs.contains(id));
        self.roles.iter().filter(stands).map(|mapped| mapped.ours).max()
    }

    async fn member(&self, code: &str, attempt: &LoginAttempt) -> Result<Option<Identity>, String> {
        let without_url = |error: reqwest::Error| error.without_url().to_string();
        let redirect_uri = self.redirect_uri();
        let answer = self
            .client
            .post(self.url(&self.discord, "/api/oauth2/token"))
            .basic_auth(&self.client_id, Some(&self.secret))
            .form(&[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", &redirect_uri),
                ("code_verifier", attempt.verifier()),
            ])
            .send()
            .await
            .map_err(without_url)?;
        if !answer.status().is_success() {
            return Err(format!("Discord answered {} to the code", answer.status()));
        }
        let granted: Granted = answer.json().await.map_err(without_url)?;
        let path = format!("/api/v10/users/@me/guilds/{}/member", self.server);
        let answer = self.client.get(self.url(&self.discord, &path)).bearer_auth(&granted.access_token);
        let answer = answer.send().await.map_err(without_url)?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(format!("Discord answered {} when it was asked for the member", answer.status()));
        }
        let member: Member = answer.json().await.map_err(without_url)?;
        Ok(self.role(&member.roles).map(|role| Identity { subject: member.user.id, name: member.user.username, role }))
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

#[derive(Deserialize)]
struct Member {
    user: User,
    roles: Vec<String>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    username: String,
}

impl LoginProvider for DiscordLogin {
    fn name(&self) -> &str {
        "discord"
    }

    fn title(&self) -> &str {
        "Discord"
    }

    fn authorize_url(&self, attempt: &LoginAttempt) -> String {
        let mut url = self.url(&self.discord, "/oauth2/authorize");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("scope", "identify guilds.members.read")
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("state", attempt.state())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        url.to_string()
    }

    fn identify<'a>(
        &'a self,
        code: &'a str,
        attempt: &'a LoginAttempt,
    ) -> BoxFuture<'a, Result<Option<Identity>, String>> {
        self.member(code, attempt).boxed()
    }
}

/// The provider that the environment describes, if it does.
///
/// # Errors
/// What is missing or wrong there.
pub fn providers() -> Result<Vec<Arc<dyn LoginProvider>>, String> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let Some(client_id) = set(CLIENT_VARIABLE) else { return Ok(Vec::new()) };
    let file_variable = format!("{SECRET_VARIABLE}_FILE");
    let secret = match (set(SECRET_VARIABLE), set(&file_variable)) {
        (Some(secret), _) => secret,
        (None, Some(path)) => std::fs::read_to_string(path.trim())
            .map_err(|error| format!("{file_variable} names {}, which cannot be read: {error}", path.trim()))?,
        (None, None) => String::new(),
    };
    let login = DiscordLogin::new(&DiscordLoginSettings {
        client_id: &client_id,
        secret: &secret,
        server: &set(SERVER_VARIABLE).unwrap_or_default(),
        roles: &set(ROLES_VARIABLE).unwrap_or_default(),
        pages: &set(PAGES_VARIABLE).unwrap_or_default(),
    })?;
    Ok(vec![Arc::new(login)])
}
