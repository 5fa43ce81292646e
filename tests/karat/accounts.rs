//! Who may do what, and who did.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use karat::clock::Clock;
use karat::service::{
    AuditQuery, Caller, Identified, Identity, LoginError, LoginPolicy, LoginRequest, Origin, Password, Presented, Role,
    Service, Via,
};
use tracing_subscriber::fmt::MakeWriter;

use crate::http::service;
use crate::lake::listen;
use crate::service_lake::{Lake, settings};

const PASSWORD: &str = "correct horse battery";

fn password(text: &str) -> Password {
    Password::chosen(text.to_owned()).unwrap()
}

struct Installation {
    lake: Lake,
    service: Service,
}

impl Installation {
    /// Ada is admin, Otto operator, and Vera viewer; all have the same password.
    async fn new() -> Self {
        let lake = Lake::new().await;
        let service = service(&lake, &lake.database.connect_options());
        for (name, role) in [("ada", Role::Admin), ("otto", Role::Operator), ("vera", Role::Viewer)] {
            service.create_account(name, role, Some(&password(PASSWORD))).await.unwrap();
        }
        Self { lake, service }
    }

    async fn login(&self, name: &str, text: &str) -> Result<karat::service::LoggedIn, LoginError> {
        self.login_from(name, text, "192.0.2.7").await
    }

    async fn login_from(&self, name: &str, text: &str, address: &str) -> Result<karat::service::LoggedIn, LoginError> {
        let request = LoginRequest {
            name: name.to_owned(),
            password: Password::typed(text.to_owned()),
            address: Some(address.parse().unwrap()),
            user_agent: Some("a browser".to_owned()),
        };
        self.service.login(request).await
    }

    async fn caller_of(&self, secret: &str) -> Option<Caller> {
        self.service.session_caller(secret, None).await.unwrap()
    }

    /// The service in the name of somebody who is logged in.
    async fn acting(&self, name: &str) -> Service {
        self.service.acting(self.login(name, PASSWORD).await.unwrap().caller)
    }
}

fn told<T: std::fmt::Debug>(result: Result<T, LoginError>) -> String {
    match result {
        Ok(_) => "let in".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn somebody_who_knows_the_password_is_let_in_and_nobody_else() {
    let installation = Installation::new().await;
    let logged_in = installation.login(" Ada ", PASSWORD).await.unwrap();
    assert_eq!((logged_in.caller.name.as_str(), logged_in.caller.role), ("ada", Role::Admin));
    assert_eq!(installation.caller_of(logged_in.secret.reveal()).await.unwrap().name, "ada");
    for (name, text) in [("ada", "correct horse batterz"), ("ada", ""), ("eve", PASSWORD), ("", ""), ("a\0da", "\0")] {
        assert_eq!(told(installation.login(name, text).await), "the name or the password is wrong", "{name:?}");
    }
    assert!(installation.caller_of("0").await.is_none());
    assert!(installation.caller_of("").await.is_none());
}

#[tokio::test]
async fn an_account_without_a_password_or_disabled_is_let_in_by_none() {
    let installation = Installation::new().await;
    let service = &installation.service;
    service.create_account("robot", Role::Operator, None).await.unwrap();
    service.disable_account("otto").await.unwrap();
    for name in ["robot", "otto"] {
        assert_eq!(told(installation.login(name, PASSWORD).await), "the name or the password is wrong");
        assert_eq!(told(installation.login(name, "").await), "the name or the password is wrong");
    }
    service.enable_account("otto").await.unwrap();
    assert_eq!(told(installation.login("otto", PASSWORD).await), "let in");
}

#[tokio::test]
async fn failures_make_the_next_login_wait_longer_and_longer() {
    let installation = Installation::new().await;
    let clock = &installation.lake.clock;
    // From a network each, so that only the account counts.
    let wrong =
        async |number: u32| told(installation.login_from("ada", "wrong", &format!("2001:db8:0:{number:x}::1")).await);
    for number in 0..5 {
        assert_eq!(wrong(number).await, "the name or the password is wrong");
    }
    let mut waits = Vec::new();
    for number in 5..14 {
        let told = wrong(number).await;
        let seconds: u64 = told.split_whitespace().rev().nth(1).unwrap().parse().unwrap();
        waits.push(seconds);
        // Trying in vain makes it no longer, and a moment too early is too early.
        clock.advance(Duration::from_secs(seconds) - Duration::from_millis(1_500));
        if seconds > 2 {
            assert!(wrong(number + 100).await.starts_with("too many"), "{seconds}");
        }
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(wrong(number + 200).await, "the name or the password is wrong");
    }
    assert_eq!(waits, [2, 3, 5, 9, 17, 33, 61, 61, 61]);
    // Another account is not concerned, whoever knows the password has to wait as well, and then all is forgotten.
    assert_eq!(told(installation.login("vera", PASSWORD).await), "let in");
    assert!(told(installation.login("ada", PASSWORD).await).starts_with("too many"));
    clock.advance(Duration::from_secs(61));
    assert_eq!(told(installation.login("ada", PASSWORD).await), "let in");
    for number in 300..305 {
        assert_eq!(wrong(number).await, "the name or the password is wrong");
    }
}

#[tokio::test]
async fn names_nobody_has_are_throttled_like_those_somebody_has() {
    let installation = Installation::new().await;
    for name in ["vera", "nobody"] {
        let mut answers = Vec::new();
        for number in 0..7 {
            let address = format!("2001:db8:{}:{number:x}::1", name.len());
            answers.push(told(installation.login_from(name, "wrong", &address).await));
        }
        assert_eq!(answers[4], "the name or the password is wrong");
        assert_eq!(answers[5], "too many logins failed: try again in 2 s");
    }
}

#[tokio::test]
async fn an_address_is_throttled_whatever_names_it_tries() {
    let installation = Installation::new().await;
    for number in 0..20 {
        // One network of the sixth version is one customer's.
        let address = format!("2001:db8::{number:x}");
        let answer = told(installation.login_from(&format!("name{number}"), "wrong", &address).await);
        assert_eq!(answer, "the name or the password is wrong");
    }
    assert!(told(installation.login_from("ada", PASSWORD, "2001:db8::abcd").await).starts_with("too many"));
    assert_eq!(told(installation.login_from("ada", PASSWORD, "2001:db8:0:1::1").await), "let in");
    // What is counted is kept in no readable form, and not for ever.
    let mut subjects = installation.lake.pool.acquire().await.unwrap();
    let kept = async |connection: &mut sqlx::PgConnection| -> i64 {
        sqlx::query_scalar("select count(*) from karat.login_failure").fetch_one(connection).await.unwrap()
    };
    assert!(kept(&mut subjects).await > 20);
    installation.lake.clock.advance(Duration::from_secs(3_601));
    assert_eq!(told(installation.login("vera", PASSWORD).await), "let in");
    assert_eq!(kept(&mut subjects).await, 1, "only the address of the last one, with no failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logins_at_the_same_moment_do_not_escape_the_count() {
    let installation = Arc::new(Installation::new().await);
    let tries = (0..12).map(|number| {
        let installation = installation.clone();
        tokio::spawn(async move {
            told(installation.login_from("ada", "wrong", &format!("2001:db8:0:{number:x}::1")).await)
        })
    });
    let mut answers = Vec::new();
    for answer in tries.collect::<Vec<_>>() {
        answers.push(answer.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("the name")).count(), 5, "{answers:?}");
}

#[tokio::test]
async fn a_session_ends_at_once_when_it_is_ended_and_by_itself_when_nobody_uses_it() {
    let installation = Installation::new().await;
    let clock = &installation.lake.clock;
    let first = installation.login("ada", PASSWORD).await.unwrap();
    let second = installation.login("ada", PASSWORD).await.unwrap();
    installation.service.acting(first.caller.clone()).logout().await.unwrap();
    assert!(installation.caller_of(first.secret.reveal()).await.is_none());
    assert!(installation.caller_of(second.secret.reveal()).await.is_some());
    assert_eq!(installation.service.end_sessions("ada").await.unwrap(), 1);
    assert!(installation.caller_of(second.secret.reveal()).await.is_none());
    // Used every six days it lasts for thirty, unused for seven.
    let used = installation.login("ada", PASSWORD).await.unwrap();
    let unused = installation.login("ada", PASSWORD).await.unwrap();
    for _ in 0..4 {
        clock.advance(Duration::from_secs(6 * 86_400));
        assert!(installation.caller_of(used.secret.reveal()).await.is_some());
    }
    assert!(installation.caller_of(unused.secret.reveal()).await.is_none());
    clock.advance(Duration::from_secs(6 * 86_400));
    assert!(installation.caller_of(used.secret.reveal()).await.is_none(), "it lasts for thirty days at most");
}

#[tokio::test]
async fn another_password_ends_the_sessions_of_whoever_may_have_stolen_the_old_one() {
    let installation = Installation::new().await;
    let stolen = installation.login("vera", PASSWORD).await.unwrap();
    let own = installation.login("vera", PASSWORD).await.unwrap();
    let vera = installation.service.acting(own.caller.clone());
    let other = password("another fine password");
    let wrong = vera.change_own_password(&Password::typed("wrong".to_owned()), &other).await.unwrap_err();
    assert_eq!(wrong.to_string(), "the present password is another one");
    assert!(installation.caller_of(stolen.secret.reveal()).await.is_some());
    // Whoever stole a session guesses no faster than at the login.
    let mut guesses = 1;
    let wait = loop {
        assert!(guesses < 50, "nothing slows guesses down");
        let guess = vera.change_own_password(&Password::typed("wrong".to_owned()), &other).await.unwrap_err();
        guesses += 1;
        if guess.to_string().starts_with("too many logins failed") {
            break guess;
        }
    };
    assert_eq!(told(installation.login("vera", PASSWORD).await), wait.to_string(), "it is the same counter");
    installation.lake.clock.advance(Duration::from_secs(3_600));
    vera.change_own_password(&Password::typed(PASSWORD.to_owned()), &other).await.unwrap();
    assert!(installation.caller_of(stolen.secret.reveal()).await.is_none());
    assert!(installation.caller_of(own.secret.reveal()).await.is_some(), "the one it was changed with goes on");
    assert_eq!(told(installation.login("vera", PASSWORD).await), "the name or the password is wrong");
    installation.service.set_password("vera", &password(PASSWORD)).await.unwrap();
    assert!(installation.caller_of(own.secret.reveal()).await.is_none(), "an admin's ends them all");
}

#[tokio::test]
async fn a_role_and_a_disabled_account_count_from_the_next_request_on() {
    let installation = Installation::new().await;
    let session = installation.login("otto", PASSWORD).await.unwrap();
    let token = installation.service.create_token("otto", "loader", Role::Operator, None).await.unwrap().secret;
    let role = async || {
        let by_session = installation.caller_of(session.secret.reveal()).await.map(|caller| caller.role);
        let by_token = installation.service.token_caller(token.reveal(), None).await.unwrap().map(|caller| caller.role);
        (by_session, by_token)
    };
    assert_eq!(role().await, (Some(Role::Operator), Some(Role::Operator)));
    installation.service.set_role("otto", Role::Viewer).await.unwrap();
    assert_eq!(role().await, (Some(Role::Viewer), Some(Role::Viewer)));
    installation.service.set_role("otto", Role::Admin).await.unwrap();
    assert_eq!(role().await, (Some(Role::Admin), Some(Role::Operator)), "a token does not grow with its account");
    installation.service.disable_account("otto").await.unwrap();
    assert_eq!(role().await, (None, None));
    installation.service.enable_account("otto").await.unwrap();
    assert_eq!(role().await, (None, Some(Role::Operator)), "sessions do not come back");
}

#[tokio::test]
async fn a_token_is_worth_something_until_it_expires_or_is_revoked() {
    let installation = Installation::new().await;
    let service = &installation.service;
    let day = Duration::from_secs(86_400);
    let short = service.create_token("vera", "short", Role::Viewer, Some(day)).await.unwrap();
    let long = service.create_token("vera", "long", Role::Viewer, None).await.unwrap();
    let worth = async |secret: &str| service.token_caller(secret, None).await.unwrap().is_some();
    let (short_secret, long_secret) = (short.secret.reveal(), long.secret.reveal());
    assert!(short_secret.starts_with("karat_") && short_secret.starts_with(&short.token.prefix));
    assert!(worth(short_secret).await && worth(long_secret).await);
    assert!(!worth(&short_secret[..short_secret.len() - 1]).await && !worth("karat_").await && !worth("").await);
    installation.lake.clock.advance(day);
    assert!(!worth(short_secret).await && worth(long_secret).await);
    service.revoke_token(long.token.token_id).await.unwrap();
    assert!(!worth(long_secret).await);
    let states: Vec<String> =
        service.tokens(Some("vera")).await.unwrap().into_iter().map(|token| token.state).collect();
    assert_eq!(states, ["revoked", "expired"]);
    // The name of one that was revoked is free again.
    service.create_token("vera", "long", Role::Viewer, None).await.unwrap();
    let taken = service.create_token("vera", "long", Role::Viewer, None).await.unwrap_err();
    assert!(taken.to_string().contains("has a token `long` already"), "{taken}");
}

#[tokio::test]
async fn nobody_gets_more_by_a_token_than_they_have() {
    let installation = Installation::new().await;
    let vera = installation.acting("vera").await;
    let more = vera.create_token("vera", "more", Role::Operator, None).await.unwrap_err();
    assert_eq!(more.to_string(), "a token may do no more than its account: vera is viewer");
    let others = vera.create_token("ada", "hers", Role::Viewer, None).await.unwrap_err();
    assert_eq!(others.to_string(), "this takes the role admin, and vera is viewer: ask an admin");
    assert!(vera.tokens(Some("ada")).await.is_err() && vera.tokens(None).await.is_err());
    let of_ada = installation.service.create_token("ada", "small", Role::Viewer, None).await.unwrap();
    assert!(vera.revoke_token(of_ada.token.token_id).await.unwrap_err().to_string().starts_with("there is no token"));
    // Nor longer: one that expires cannot make one that does not.
    let by_token = installation.service.token_caller(of_ada.secret.reveal(), None).await.unwrap().unwrap();
    assert_eq!((by_token.role, by_token.via), (Role::Viewer, Via::Token(of_ada.token.token_id)));
    let by_token = installation.service.acting(by_token);
    let refused = by_token.create_token("ada", "longer", Role::Viewer, None).await;
    assert_eq!(refused.unwrap_err().to_string(), "a token cannot make tokens: log in with a password");
    // Nor does it take away what else its owner uses.
    let another = installation.service.create_token("ada", "another", Role::Viewer, None).await.unwrap();
    let refused = by_token.revoke_token(another.token.token_id).await;
    assert_eq!(refused.unwrap_err().to_string(), "a token revokes itself and no other: log in with a password");
    assert_eq!(by_token.revoke_token(of_ada.token.token_id).await.unwrap().state, "revoked");
    let own = vera.create_token("vera", "it's mine; rm", Role::Viewer, None).await.unwrap();
    let records = installation.service.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await.unwrap();
    let command = r"user token add vera --name 'it'\''s mine; rm' --role viewer";
    assert_eq!(records[0].command.as_deref(), Some(command), "whoever copies it runs nothing else");
    assert_eq!(vera.revoke_token(own.token.token_id).await.unwrap().state, "revoked");
}

#[tokio::test]
async fn only_admins_decide_who_may_do_what_and_one_of_them_stays() {
    let lake = Lake::new().await;
    let service = service(&lake, &lake.database.connect_options());
    for (role, password) in [(Role::Viewer, Some(password(PASSWORD))), (Role::Admin, None)] {
        let first = service.create_account("first", role, password.as_ref()).await.unwrap_err();
        assert!(first.to_string().starts_with("the first user has to be an admin with a password"), "{first}");
    }
    let installation = Installation::new().await;
    let (ada, otto) = (installation.acting("ada").await, installation.acting("otto").await);
    let refused = [
        otto.create_account("eve", Role::Viewer, None).await.map(drop),
        otto.set_role("otto", Role::Admin).await.map(drop),
        otto.set_password("ada", &password(PASSWORD)).await.map(drop),
        otto.disable_account("ada").await.map(drop),
        otto.enable_account("ada").await.map(drop),
        otto.end_sessions("ada").await.map(drop),
        otto.list_accounts().await.map(drop),
        otto.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).await.map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().to_string(), "this takes the role admin, and otto is operator: ask an admin");
    }
    for last in [ada.set_role("ada", Role::Viewer).await, ada.disable_account("ada").await] {
        assert!(last.unwrap_err().to_string().starts_with("ada is the last admin who can log in"));
    }
    ada.set_role("otto", Role::Admin).await.unwrap();
    assert!(ada.disable_account("ada").await.unwrap().changed);
    // A robot that is admin cannot log in, and does not count.
    installation.service.create_account("robot", Role::Admin, None).await.unwrap();
    assert!(installation.service.disable_account("otto").await.is_err());
}

#[tokio::test]
async fn names_and_passwords_that_will_not_do_are_refused_with_why() {
    let installation = Installation::new().await;
    let create = async |name: &str| {
        installation.service.create_account(name, Role::Viewer, None).await.map_err(|error| error.to_string())
    };
    for name in ["", "a b", "ada'; drop table x", "<script>", "ä", "a\0", &"x".repeat(65)] {
        assert!(create(name).await.unwrap_err().starts_with("a user's name is made of 1 to 64"), "{name:?}");
    }
    assert!(create("ADA").await.unwrap_err().starts_with("there is a user ada already"));
    let unknown = installation.service.set_role("veera", Role::Viewer).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no user `veera`; did you mean `vera`?");
    for text in ["", "eleven char", "aaaaaaaaaaaaaaaa"] {
        assert!(Password::chosen(text.to_owned()).is_err(), "{text:?}");
    }
    assert!(Password::chosen("x1".repeat(600)).is_err());
    assert!(Password::chosen("zwölf zeichen".to_owned()).is_ok());
    let generated = Password::generated();
    assert!(generated.reveal().len() == 24 && generated.reveal() != Password::generated().reveal());
    assert!(Password::chosen(generated.reveal().to_owned()).is_ok());
}

#[tokio::test]
async fn a_provider_vouches_for_people_and_their_role_is_what_it_says_each_time() {
    let lake = Lake::new().await;
    let service = service(&lake, &lake.database.connect_options());
    let identity =
        |subject: &str, name: &str, role| Identity { subject: subject.to_owned(), name: name.to_owned(), role };
    let grace = identity("17", "Grace", Role::Operator);
    let first = service.login_as("club", &grace, None, None).await.unwrap_err();
    assert!(matches!(first, LoginError::NoAccount(_)), "the first account is made by hand");
    service.create_account("ada", Role::Admin, Some(&password(PASSWORD))).await.unwrap();
    let logged_in = service.login_as("club", &grace, None, None).await.unwrap();
    assert_eq!((logged_in.caller.name.as_str(), logged_in.caller.role), ("grace", Role::Operator));
    let renamed = identity("17", "Amazing Grace", Role::Viewer);
    let again = service.login_as("club", &renamed, None, None).await.unwrap();
    assert_eq!((again.caller.name.as_str(), again.caller.role), ("grace", Role::Viewer), "it is the same person");
    let role = service.session_caller(logged_in.secret.reveal(), None).await.unwrap().unwrap().role;
    assert_eq!(role, Role::Viewer, "sessions that there are follow");
    // Neither a name that is taken, nor another provider's same number, gives somebody's account away.
    for (provider, identity) in
        [("club", identity("18", "ada", Role::Admin)), ("pub", identity("17", "grace", Role::Admin))]
    {
        assert!(matches!(service.login_as(provider, &identity, None, None).await, Err(LoginError::NoAccount(_))));
    }
    service.disable_account("grace").await.unwrap();
    assert!(matches!(service.login_as("club", &grace, None, None).await, Err(LoginError::NoAccount(_))));
}

#[tokio::test]
async fn who_is_let_in_without_a_login_is_decided_by_where_they_are_and_whether_there_are_accounts() {
    let lake = Lake::new().await;
    let service = service(&lake, &lake.database.connect_options());
    let asked = async |policy, is_local| {
        let origin = Origin { address: None, is_local };
        match service.identify(policy, Presented { session: Some("x"), token: None, origin }).await.unwrap() {
            Identified::Caller(caller) => caller.name,
            other => format!("{other:?}"),
        }
    };
    let table = async || {
        let mut table = Vec::new();
        for policy in [LoginPolicy::WithAccounts, LoginPolicy::NotOnLoopback, LoginPolicy::Never] {
            table.push(format!(
                "{policy:?}: here {}, elsewhere {}",
                asked(policy, true).await,
                asked(policy, false).await
            ));
        }
        table.join("\n")
    };
    insta::assert_snapshot!(table().await, @r"
    WithAccounts: here local, elsewhere Elsewhere
    NotOnLoopback: here local, elsewhere Elsewhere
    Never: here local, elsewhere local
    ");
    service.create_account("ada", Role::Admin, Some(&password(PASSWORD))).await.unwrap();
    insta::assert_snapshot!(table().await, @r"
    WithAccounts: here LoginNeeded, elsewhere LoginNeeded
    NotOnLoopback: here local, elsewhere LoginNeeded
    Never: here local, elsewhere local
    ");
    // Whoever shows a token wants to be taken at its word.
    let origin = Origin { address: None, is_local: true };
    let presented = Presented { session: None, token: Some("karat_0"), origin };
    assert_eq!(service.identify(LoginPolicy::Never, presented).await.unwrap(), Identified::WrongToken);
}

#[tokio::test]
async fn two_processes_sign_with_the_same_key() {
    let lake = Lake::new().await;
    let options = lake.database.connect_options();
    let (one, other) = (service(&lake, &options), service(&lake, &options));
    let (one, other) = tokio::join!(one.signing_key(), other.signing_key());
    let one = one.unwrap();
    assert_eq!(one, other.unwrap());
    assert_eq!(one.len(), 128);
}

#[tokio::test]
async fn what_people_do_is_recorded_with_who_they_are_and_what_would_do_the_same() {
    let installation = Installation::new().await;
    let _guard = settings().bind_to_scope();
    installation.lake.record(1, 19, 3).await;
    let mut caller = installation.login("otto", PASSWORD).await.unwrap().caller;
    caller.address = Some(IpAddr::from([192, 0, 2, 9]));
    let otto = installation.service.acting(caller);
    let request = karat::service::Request::new("lake.daily", karat::service::Extent::Text("2026-03-01".to_owned()));
    let launched = otto.launch(&request, karat::service::LaunchKind::Backfill).await.unwrap();
    assert_eq!(otto.run(launched.run_id).await.unwrap().run.requested_by.as_deref(), Some("otto"));
    let backfill_id = launched.backfill_id.unwrap();
    otto.pause_backfill(backfill_id).await.unwrap();
    otto.pause_backfill(backfill_id).await.unwrap();
    otto.resume_backfill(backfill_id).await.unwrap();
    otto.cancel_run(launched.run_id).await.unwrap();
    otto.retry_backfill(backfill_id, true).await.unwrap();
    otto.mark("lake.events", "2026-03-01..2026-03-02", "a disk's back", false).await.unwrap();
    otto.mark("lake.events", "2026-03-01", "only a look", true).await.unwrap();
    otto.logout().await.unwrap();
    installation.service.acting(Caller::local(None)).set_role("otto", Role::Viewer).await.unwrap();
    let records = installation.service.audit(&AuditQuery { limit: 50, ..AuditQuery::default() }).await.unwrap();
    let lines = records.iter().rev().map(|record| {
        format!(
            "{} {} {} {}: {} {} {}",
            record.who,
            record.role,
            record.via,
            record.address.as_deref().unwrap_or("-"),
            record.action,
            record.command.as_deref().unwrap_or("-"),
            record.detail.as_ref().map(ToString::to_string).unwrap_or_default()
        )
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n").replace(" \n", "\n"), @r#"
    otto operator login 192.0.2.7: login -
    otto operator session 192.0.2.9: backfill backfill lake.daily 2026-03-01
    otto operator session 192.0.2.9: backfill pause backfill pause [uuid]
    otto operator session 192.0.2.9: backfill resume backfill resume [uuid]
    otto operator session 192.0.2.9: run cancel run cancel [uuid]
    otto operator session 192.0.2.9: backfill retry backfill retry [uuid]
    otto operator session 192.0.2.9: mark mark lake.events --from 2026-03-01 --to 2026-03-02 --reason 'a disk'\''s back' {"partitions":"2026-03-01..2026-03-02 (2 partitions)","reason":"a disk's back"}
    otto operator session 192.0.2.9: logout -
    local admin local -: user role user role otto viewer {"before":"operator","role":"viewer"}
    "#);
    let of_run = AuditQuery { run_id: Some(launched.run_id), limit: 50, ..AuditQuery::default() };
    assert_eq!(installation.service.audit(&of_run).await.unwrap().len(), 2);
    let backfills = AuditQuery { action: Some("backfill".to_owned()), limit: 50, ..AuditQuery::default() };
    assert_eq!(installation.service.audit(&backfills).await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_record_and_what_is_over_go_when_they_have_been_kept_long_enough() {
    let installation = Installation::new().await;
    let service = &installation.service;
    installation.login("ada", PASSWORD).await.unwrap();
    service.create_token("ada", "short", Role::Viewer, Some(Duration::from_secs(60))).await.unwrap();
    service.create_token("ada", "long", Role::Viewer, None).await.unwrap();
    let kinds = async || {
        let garbage = service.collect_garbage(karat::service::Retention::default(), false).await.unwrap();
        garbage.rows.iter().map(|rows| format!("{} {}", rows.count, rows.kind)).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, [] as [String; 0]);
    installation.lake.clock.advance(Duration::from_secs(121 * 86_400));
    assert_eq!(kinds().await, ["1 sessions", "1 tokens", "1 audit_records"]);
    assert_eq!(service.tokens(Some("ada")).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_made_changed_and_listed_by_commands() {
    let lake = Lake::new().await;
    let mut settings = settings();
    settings.add_filter(r"[a-z0-9]{4}(-[a-z0-9]{4}){4}", "[password]");
    settings.add_filter(r"karat_[0-9a-f]{64}", "[token]");
    settings.add_filter(r"karat_[0-9a-f]{6}", "karat_[begin]");
    settings.add_filter(&regex_of(&Caller::command_line().name), "[user]");
    let _guard = settings.bind_to_scope();
    insta::assert_snapshot!(lake.conversation(&[
        "user ls",
        "user token ls",
        "audit ls",
        "user add vera",
        "user add vera --generate",
        "user add ada --role admin --generate",
        "user add robot --role operator --no-password",
        "user add otto --role chief --generate",
        "user add ada --generate",
        "user passwd ada --generate",
        "user passwd adda --generate",
        "user role robot viewer",
        "user role robot viewer",
        "user role ada viewer",
        "user token add robot --name loader --role operator",
        "user token add robot --name loader --role viewer --expires 30d",
        "user token add robot --name forever --no-expiry",
        "user token ls robot",
        "user token revoke 2",
        "user token revoke 99",
        "user disable robot",
        "user disable robot",
        "user token ls",
        "user enable robot",
        "user logout ada",
        "user ls",
        "user ls --json",
        "audit ls --user eve",
    ]).await, @r#"
    $ lake user ls
    There are no users: the pages ask nobody on this machine for a login, and are shown to nobody else.
      begin   lake user add NAME --role admin
    [0]
    $ lake user token ls
    There are no tokens.
      make    lake user token add USER --name TEXT --role viewer
    [0]
    $ lake audit ls
    Nobody has done anything yet.
    [0]
    $ lake user add vera
    error: nobody is there to type a password: say --password-stdin, or --generate to have one made
    [2]
    $ lake user add vera --generate
    error: the first user has to be an admin with a password, or nobody could decide who may do what: `lake user add NAME --role admin`
    [1]
    $ lake user add ada --role admin --generate
    User ada is admin.
      password  [password]   (shown this once)
      change    lake user passwd ada
    [0]
    $ lake user add robot --role operator --no-password
    User robot is operator.
      token     lake user token add robot --name TEXT --role operator
      change    lake user passwd robot
    [0]
    $ lake user add otto --role chief --generate
    error: invalid value 'chief' for '--role <ROLE>': `chief` is no role: the roles are viewer, operator and admin
    [2]
    $ lake user add ada --generate
    error: there is a user ada already: `lake user ls` lists them, and `lake user passwd ada` changes the password
    [1]
    $ lake user passwd ada --generate
    User ada has another password; their sessions ended.
      password  [password]   (shown this once)
    [0]
    $ lake user passwd adda --generate
    error: there is no user `adda`; did you mean `ada`?
    [2]
    $ lake user role robot viewer
    User robot is viewer.
    [0]
    $ lake user role robot viewer
    User robot was already viewer.
    [0]
    $ lake user role ada viewer
    error: ada is the last admin who can log in: make another one first, with `lake user role NAME admin` or `lake user add NAME --role admin`
    [1]
    $ lake user token add robot --name loader --role operator
    error: a token may do no more than its account: robot is viewer
    [1]
    $ lake user token add robot --name loader --role viewer --expires 30d
    Token `loader` of robot may do what a viewer may, until 2026-04-19 12:00:00+02:00.
      token   [token]   (shown this once)
      use     Authorization: Bearer TOKEN
      undo    lake user token revoke 1
    [0]
    $ lake user token add robot --name forever --no-expiry
    Token `forever` of robot may do what a viewer may, until it is revoked.
      token   [token]   (shown this once)
      use     Authorization: Bearer TOKEN
      undo    lake user token revoke 2
    [0]
    $ lake user token ls robot
    ID  USER   NAME     BEGINS         ROLE    STATE  EXPIRES                    LAST USED
     2  robot  forever  karat_[begin]…  viewer  ok     never                      never
     1  robot  loader   karat_[begin]…  viewer  ok     2026-04-19 12:00:00+02:00  never
    [0]
    $ lake user token revoke 2
    Token `forever` of robot is worth nothing.
    [0]
    $ lake user token revoke 99
    error: there is no token 99: `lake user token ls` lists them with their numbers
    [2]
    $ lake user disable robot
    User robot is disabled: sessions ended, tokens are worth nothing.
      undo    lake user enable robot
    [0]
    $ lake user disable robot
    User robot was disabled already.
    [0]
    $ lake user token ls
    ID  USER   NAME     BEGINS         ROLE    STATE     EXPIRES                    LAST USED
     2  robot  forever  karat_[begin]…  viewer  revoked   never                      never
     1  robot  loader   karat_[begin]…  viewer  disabled  2026-04-19 12:00:00+02:00  never
    [0]
    $ lake user enable robot
    User robot may log in again as viewer.
    [0]
    $ lake user logout ada
    User ada was logged in nowhere.
    [0]
    $ lake user ls
    USER   ROLE    STATE  LOGIN        LAST LOGIN  SESSIONS  TOKENS  SINCE
    ada    admin   ok     password     never              0       0  2026-03-20 11:00:00+01:00
    robot  viewer  ok     tokens only  never              0       1  2026-03-20 11:00:00+01:00
    [0]
    $ lake user ls --json
    [
      {
        "name": "ada",
        "role": "admin",
        "created_at": "2026-03-20T10:00:00Z",
        "disabled_at": null,
        "last_login_at": null,
        "has_password": true,
        "login_provider": null,
        "sessions": 0,
        "tokens": 0
      },
      {
        "name": "robot",
        "role": "viewer",
        "created_at": "2026-03-20T10:00:00Z",
        "disabled_at": null,
        "last_login_at": null,
        "has_password": false,
        "login_provider": null,
        "sessions": 0,
        "tokens": 1
      }
    ]
    [0]
    $ lake audit ls --user eve
    Nobody did such a thing.
      all     lake audit ls
    [0]
    "#);
    // As wide as the name of whoever runs the tests.
    let records = lake.says("audit ls --limit 4").await;
    let lines: Vec<String> =
        records.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    ID WHEN WHO ROLE VIA FROM WHAT COMMAND
    10 2026-03-20 11:00:00+01:00 [user] admin command line · user logout user logout ada
    9 2026-03-20 11:00:00+01:00 [user] admin command line · user enable user enable robot
    8 2026-03-20 11:00:00+01:00 [user] admin command line · user disable user disable robot
    7 2026-03-20 11:00:00+01:00 [user] admin command line · user token revoke user token revoke 2

    Older: lake audit ls --before 7
    [0]
    ");
    let tokens = lake.says("audit ls --action 'user token' --json").await;
    assert_eq!(tokens.matches("\"via\": \"command_line\"").count(), 3, "{tokens}");
}

fn regex_of(text: &str) -> String {
    format!(r"\b{text}\b")
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
async fn neither_passwords_nor_sessions_nor_tokens_are_logged_whatever_is_logged() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(captured.clone())
        .finish();
    let _guard = listen(subscriber);
    let installation = Installation::new().await;
    let service = &installation.service;
    let logged_in = installation.login("ada", PASSWORD).await.unwrap();
    installation.login("typed into the wrong field", "wrong but secret").await.unwrap_err();
    let token = service.create_token("ada", "loader", Role::Viewer, None).await.unwrap();
    service.token_caller(token.secret.reveal(), None).await.unwrap().unwrap();
    installation.caller_of(logged_in.secret.reveal()).await.unwrap();
    let key = String::from_utf8(service.signing_key().await.unwrap()).unwrap();
    let ada = service.acting(logged_in.caller.clone());
    ada.change_own_password(&Password::typed(PASSWORD.to_owned()), &password("another fine password")).await.unwrap();
    let shown = format!("{logged_in:?} {token:?} {:?} {:?}", password(PASSWORD), service.now());
    let logged = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap() + &shown;
    assert!(logged.contains("karat.login_failure"), "statements are logged: {logged}");
    for secret in [
        PASSWORD,
        "another fine password",
        "wrong but secret",
        "typed into the wrong field",
        logged_in.secret.reveal(),
        token.secret.reveal(),
        &key,
        "$argon2id$",
    ] {
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
    // Nor is anything of it kept that would let somebody in who reads the database.
    let mut connection = installation.lake.pool.acquire().await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar(
        "select row_to_json(s)::text from karat.session s union all select row_to_json(t)::text from karat.token t
         union all select row_to_json(a)::text from karat.account a union all select row_to_json(r)::text from karat.audit r",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let kept = rows.join("\n");
    assert!(kept.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
    for secret in [PASSWORD, "typed into the wrong field", logged_in.secret.reveal(), token.secret.reveal()] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
    assert!(installation.lake.clock.now() > chrono::DateTime::UNIX_EPOCH);
}
