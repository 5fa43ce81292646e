//! Users and their tokens, and what people did.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::exit::{Exit, Failure};
use super::output::{counted, one_line, shortened, table, time_text, toned};
use super::password::PasswordArguments;
use super::remote::Call;
use super::session::Session;
use crate::service::{
    AccountView, AuditQuery, AuditView, ChangedAccountView, NewTokenView, Password, Role, Service, TokenView, quoted,
};

/// How much of a command a list shows.
const COMMAND_CHARACTERS: usize = 70;

/// Arguments of `user`.
#[derive(Args, Clone, Debug)]
pub struct UserArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: UserVerb,
}

/// How roles are explained.
const ROLE_HELP: &str = "\
Roles, each with what those before it may:
  viewer    look at everything
  operator  launch, steer, switch and mark
  admin     decide who may do what, and read who did what";

/// What can be done with users.
#[derive(Clone, Debug, Subcommand)]
pub enum UserVerb {
    /// Make a user; the first one has to be an admin, and from then on the pages ask for a login
    #[command(after_help = ROLE_HELP)]
    Add(UserAddArguments),
    /// Give a user another password, and end their sessions
    Passwd(UserPasswdArguments),
    /// Give a user another role, at once
    #[command(after_help = ROLE_HELP)]
    Role(UserRoleArguments),
    /// Let a user do nothing any more: sessions end, tokens are worth nothing
    Disable(UserNameArguments),
    /// Let a user in again that was disabled
    Enable(UserNameArguments),
    /// End all sessions of a user
    Logout(UserNameArguments),
    /// List the users
    Ls,
    /// Make, list and revoke what programs show instead of a password
    #[command(subcommand)]
    Token(TokenVerb),
}

/// Arguments of `user add`.
#[derive(Args, Clone, Debug)]
pub struct UserAddArguments {
    /// The name: a-z, 0-9, `.`, `_`, `-` and `@`
    pub name: String,
    /// What they may do: viewer, operator or admin
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    pub role: Role,
    /// Where the password comes from; it is asked for without either.
    #[command(flatten)]
    pub password: PasswordArguments,
    /// No password: only tokens, for programs
    #[arg(long, conflicts_with_all = ["password_stdin", "generate"])]
    pub no_password: bool,
}

/// Arguments of `user passwd`.
#[derive(Args, Clone, Debug)]
pub struct UserPasswdArguments {
    /// The user's name
    pub name: String,
    /// Where the password comes from; it is asked for without either.
    #[command(flatten)]
    pub password: PasswordArguments,
}

/// Arguments of `user role`.
#[derive(Args, Clone, Debug)]
pub struct UserRoleArguments {
    /// The user's name
    pub name: String,
    /// What they may do from now on: viewer, operator or admin
    pub role: Role,
}

/// A user.
#[derive(Args, Clone, Debug)]
pub struct UserNameArguments {
    /// The user's name
    pub name: String,
}

/// What can be done with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token, and show it this once
    #[command(after_help = ROLE_HELP)]
    Add(TokenAddArguments),
    /// List tokens, without their secrets, which nobody knows
    Ls(TokenListArguments),
    /// Make a token worthless at once
    Revoke(TokenRevokeArguments),
}

/// Arguments of `user token add`.
#[derive(Args, Clone, Debug)]
pub struct TokenAddArguments {
    /// Whose it is
    pub user: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub name: String,
    /// The most it may do: viewer, operator or admin, and no more than its user
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    pub role: Role,
    /// How long it is valid, such as 90d or 12h
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = humantime::parse_duration)]
    pub expires: Duration,
    /// Valid until it is revoked
    #[arg(long, conflicts_with = "expires")]
    pub no_expiry: bool,
}

/// Arguments of `user token ls`.
#[derive(Args, Clone, Debug)]
pub struct TokenListArguments {
    /// Only of this user
    pub user: Option<String>,
}

/// Arguments of `user token revoke`.
#[derive(Args, Clone, Debug)]
pub struct TokenRevokeArguments {
    /// The token's number
    pub id: i64,
}

/// Arguments of `audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditArguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: AuditVerb,
}

/// What can be done with the record of what people did.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditVerb {
    /// List who did what, newest first
    Ls(AuditListArguments),
}

/// Arguments of `audit ls`.
#[derive(Args, Clone, Debug)]
pub struct AuditListArguments {
    /// Only of this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only such actions, by their first words: backfill, `run cancel`, user, login
    #[arg(long, value_name = "WORDS")]
    pub action: Option<String>,
    /// Only about this run
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Only those with numbers below
    #[arg(long, value_name = "ID")]
    pub before: Option<i64>,
}

impl UserVerb {
    /// What makes something secret, in words; no server is told to.
    pub(super) fn secret_words(&self) -> Option<String> {
        match self {
            Self::Add(UserAddArguments { name, role, .. }) => Some(format!("user add {name} --role {role}")),
            Self::Passwd(UserPasswdArguments { name, .. }) => Some(format!("user passwd {name}")),
            Self::Token(TokenVerb::Add(TokenAddArguments { user, role, .. })) => {
                Some(format!("user token add {user} --name TEXT --role {role}"))
            }
            _ => None,
        }
    }
}

/// How many sessions of a user ended.
#[derive(Deserialize)]
struct Ended {
    ended: u64,
}

/// A user that was made or changed, and the password if it was made by chance.
#[derive(Serialize)]
struct WithPassword {
    #[serde(flatten)]
    account: ChangedAccountView,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

pub(super) async fn user(session: &Session, verb: &UserVerb) -> Result<Exit, Failure> {
    match verb {
        UserVerb::Add(arguments) => return add(session, arguments).await,
        UserVerb::Passwd(arguments) => return passwd(session, arguments).await,
        UserVerb::Role(UserRoleArguments { name, role }) => {
            let there = Call::post(["users", name, "role"]).body(&serde_json::json!({ "role": role }));
            let changed = session.ask(async |service| service.set_role(name, *role).await, there).await?;
            session.output.result(&changed, |changed| {
                let was = if changed.changed { "is" } else { "was already" };
                format!("User {} {was} {}.", changed.name, changed.role)
            })?;
        }
        UserVerb::Disable(UserNameArguments { name }) => {
            let there = Call::post(["users", name, "disable"]);
            let changed = session.ask(async |service| service.disable_account(name).await, there).await?;
            session.output.result(&changed, |changed| match changed.changed {
                true => format!(
                    "User {0} is disabled: sessions ended, tokens are worth nothing.\n  undo    {1}",
                    changed.name,
                    session.command(&format!("user enable {}", changed.name))
                ),
                false => format!("User {} was disabled already.", changed.name),
            })?;
        }
        UserVerb::Enable(UserNameArguments { name }) => {
            let there = Call::post(["users", name, "enable"]);
            let changed = session.ask(async |service| service.enable_account(name).await, there).await?;
            session.output.result(&changed, |changed| match changed.changed {
                true => format!("User {} may log in again as {}.", changed.name, changed.role),
                false => format!("User {} was not disabled.", changed.name),
            })?;
        }
        UserVerb::Logout(UserNameArguments { name }) => {
            let there = Call::post(["users", name, "logout"]);
            let here = async |service: &Service| service.end_sessions(name).await.map(|ended| Ended { ended });
            let Ended { ended } = session.ask(here, there).await?;
            session.output.result(&serde_json::json!({ "name": name, "ended": ended }), |_| match ended {
                0 => format!("User {name} was logged in nowhere."),
                ended => format!("Ended {} of user {name}.", counted(ended, "session")),
            })?;
        }
        UserVerb::Ls => {
            let there = Call::get(["users"]);
            let accounts = session.list(None, async |service| service.list_accounts().await, there).await?;
            session.output.result(&accounts, |accounts| list_text(session, accounts))?;
        }
        UserVerb::Token(verb) => return token(session, verb).await,
    }
    Ok(Exit::Ok)
}

async fn add(session: &Session, arguments: &UserAddArguments) -> Result<Exit, Failure> {
    let UserAddArguments { name, role, password, no_password } = arguments;
    // Before the database: what is typed wrongly costs nobody anything.
    let obtained = if *no_password { None } else { Some(password.obtain(name)?) };
    let password = obtained.as_ref().map(|obtained| &obtained.password);
    let account =
        session.connected(async |connected| Ok(connected.service.create_account(name, *role, password).await?)).await?;
    let generated = obtained.filter(|obtained| obtained.generated);
    let view = WithPassword { account, password: generated.map(|obtained| revealed(&obtained.password)) };
    session.output.result(&view, |view| {
        let name = &view.account.name;
        let mut text = format!("User {name} is {}.", view.account.role);
        if let Some(password) = &view.password {
            text.push_str(&format!("\n  password  {password}   (shown this once)"));
        }
        if *no_password {
            let command = session.command(&format!("user token add {name} --name TEXT --role {role}"));
            text.push_str(&format!("\n  token     {command}"));
        }
        text.push_str(&format!("\n  change    {}", session.command(&format!("user passwd {name}"))));
        text
    })?;
    Ok(Exit::Ok)
}

async fn passwd(session: &Session, arguments: &UserPasswdArguments) -> Result<Exit, Failure> {
    let obtained = arguments.password.obtain(&arguments.name)?;
    let account = session
        .connected(async |connected| Ok(connected.service.set_password(&arguments.name, &obtained.password).await?))
        .await?;
    let view = WithPassword { account, password: obtained.generated.then(|| revealed(&obtained.password)) };
    session.output.result(&view, |view| {
        let mut text = format!("User {} has another password; their sessions ended.", view.account.name);
        if let Some(password) = &view.password {
            text.push_str(&format!("\n  password  {password}   (shown this once)"));
        }
        text
    })?;
    Ok(Exit::Ok)
}

fn revealed(password: &Password) -> String {
    password.reveal().to_owned()
}

fn list_text(session: &Session, accounts: &[AccountView]) -> String {
    if accounts.is_empty() {
        return format!(
            "There are no users: the pages ask nobody on this machine for a login, and are shown to nobody else.\n  \
             begin   {}",
            session.command("user add NAME --role admin")
        );
    }
    let zone = session.calendar().zone;
    let rows = accounts.iter().map(|account| {
        let login = match (account.has_password, &account.login_provider) {
            (_, Some(provider)) => provider.as_str(),
            (true, None) => "password",
            (false, None) => "tokens only",
        };
        vec![
            account.name.clone(),
            account.role.to_string(),
            toned(if account.disabled_at.is_some() { "disabled" } else { "ok" }),
            login.to_owned(),
            account.last_login_at.map_or_else(|| "never".to_owned(), |instant| time_text(instant, zone)),
            account.sessions.to_string(),
            account.tokens.to_string(),
            time_text(account.created_at, zone),
        ]
    });
    table(
        &["USER", "ROLE", "STATE", "LOGIN", "LAST LOGIN", "SESSIONS", "TOKENS", "SINCE"],
        &["SESSIONS", "TOKENS"],
        rows,
    )
}

async fn token(session: &Session, verb: &TokenVerb) -> Result<Exit, Failure> {
    match verb {
        TokenVerb::Add(arguments) => {
            let TokenAddArguments { user, name, role, expires, no_expiry } = arguments;
            let valid_for = (!no_expiry).then_some(*expires);
            let created = session
                .connected(async |connected| Ok(connected.service.create_token(user, name, *role, valid_for).await?))
                .await?;
            session.output.result(&created, |created| token_text(session, created))?;
        }
        TokenVerb::Ls(TokenListArguments { user }) => {
            let user = user.as_deref();
            let there = Call::get(["tokens"]).with("user", user);
            let tokens = session.list(None, async |service| service.tokens(user).await, there).await?;
            session.output.result(&tokens, |tokens| tokens_text(session, tokens, user))?;
        }
        TokenVerb::Revoke(TokenRevokeArguments { id }) => {
            let there = Call::post(["tokens", &id.to_string(), "revoke"]);
            let revoked = session.ask(async |service| service.revoke_token(*id).await, there).await?;
            session.output.result(&revoked, |revoked| {
                format!("Token `{}` of {} is worth nothing.", revoked.name, revoked.account)
            })?;
        }
    }
    Ok(Exit::Ok)
}

fn token_text(session: &Session, created: &NewTokenView) -> String {
    let token = &created.token;
    let until = token
        .expires_at
        .map_or_else(|| "it is revoked".to_owned(), |instant| time_text(instant, session.calendar().zone));
    format!(
        "Token `{}` of {} may do what a {} may, until {until}.\n  token   {}   (shown this once)\n  use     \
         Authorization: Bearer TOKEN\n  undo    {}",
        token.name,
        token.account,
        token.role,
        created.secret.reveal(),
        session.command(&format!("user token revoke {}", token.token_id))
    )
}

fn tokens_text(session: &Session, tokens: &[TokenView], user: Option<&str>) -> String {
    if tokens.is_empty() {
        let user = user.unwrap_or("USER");
        return format!(
            "There are no tokens.\n  make    {}",
            session.command(&format!("user token add {user} --name TEXT --role viewer"))
        );
    }
    let zone = session.calendar().zone;
    let rows = tokens.iter().map(|token| {
        vec![
            token.token_id.to_string(),
            token.account.clone(),
            one_line(&token.name),
            format!("{}…", token.prefix),
            token.role.to_string(),
            toned(if token.state == "valid" { "ok" } else { &token.state }),
            token.expires_at.map_or_else(|| "never".to_owned(), |instant| time_text(instant, zone)),
            token.last_used_at.map_or_else(|| "never".to_owned(), |instant| time_text(instant, zone)),
        ]
    });
    table(&["ID", "USER", "NAME", "BEGINS", "ROLE", "STATE", "EXPIRES", "LAST USED"], &["ID"], rows)
}

pub(super) async fn audit(session: &Session, verb: &AuditVerb) -> Result<Exit, Failure> {
    let AuditVerb::Ls(arguments) = verb;
    let AuditListArguments { user, action, run, limit, before } = arguments;
    let there = Call::get(["audit"])
        .with("who", user.as_ref())
        .with("action", action.as_ref())
        .with("run", run.as_ref())
        .with("before", *before);
    let here = async |service: &Service| {
        let run_id = match run {
            Some(id) => Some(service.run_id(id).await?),
            None => None,
        };
        let (who, action) = (user.clone(), action.clone());
        service.audit(&AuditQuery { who, action, run_id, before: *before, limit: *limit }).await
    };
    let records = session.list(Some(*limit), here, there).await?;
    session.output.result(&records, |records| audit_text(session, records, arguments))?;
    Ok(Exit::Ok)
}

fn audit_text(session: &Session, records: &[AuditView], arguments: &AuditListArguments) -> String {
    if records.is_empty() {
        let filtered = arguments.user.is_some() || arguments.action.is_some() || arguments.run.is_some();
        return match (filtered || arguments.before.is_some(), arguments.before) {
            (true, _) => format!("Nobody did such a thing.\n  all     {}", session.command("audit ls")),
            _ => "Nobody has done anything yet.".to_owned(),
        };
    }
    let zone = session.calendar().zone;
    let rows = records.iter().map(|record| {
        let what = record.command.as_deref().map_or_else(
            || record.target.as_deref().map_or_else(|| "·".to_owned(), one_line),
            |command| shortened(&one_line(command), COMMAND_CHARACTERS),
        );
        vec![
            record.audit_id.to_string(),
            time_text(record.at, zone),
            record.who.clone(),
            record.role.clone(),
            record.via.replace('_', " "),
            record.address.clone().unwrap_or_else(|| "·".to_owned()),
            record.what(),
            what,
        ]
    });
    let mut text = table(&["ID", "WHEN", "WHO", "ROLE", "VIA", "FROM", "WHAT", "COMMAND"], &["ID"], rows);
    if records.len() as u64 == u64::from(arguments.limit)
        && let Some(last) = records.last()
    {
        let mut older = "audit ls".to_owned();
        let filters = [("user", &arguments.user), ("action", &arguments.action), ("run", &arguments.run)];
        for (name, value) in filters.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            older.push_str(&format!(" --{name} {}", quoted(value)));
        }
        text.push_str(&format!("\n\nOlder: {}", session.command(&format!("{older} --before {}", last.audit_id))));
    }
    text
}
