//! Commands given to a server do and say what they do and say with the database at hand.

use std::time::Duration;

use serde_json::Value;

use crate::generated::{community, definitions};
use crate::server::Server;
use crate::service_lake::Lake;

impl Server {
    /// What a command says that is given to the server; where it is in hints, the server is left out.
    async fn says(&self, line: &str) -> String {
        let server = format!(" --server http://{}", self.address);
        self.lake.says(&format!("{line}{server}")).await.replace(&server, "")
    }
}

async fn built() -> Server {
    let server = Server::new().await;
    server.lake.record(2, 8, 3).await;
    server.lake.record(9, 9, 60).await;
    server.lake.says("backfill lake.daily 2026-03-02..2026-03-09").await;
    server
}

#[tokio::test]
async fn what_is_looked_at_is_told_alike() {
    let server = built().await;
    let run = server.asked("/runs").await["items"][0]["run_id"].as_str().unwrap().to_owned();
    let backfill = server.asked("/backfills").await["items"][0]["backfill_id"].as_str().unwrap().to_owned();
    let lines = [
        "ls".to_owned(),
        "ls state:failed".to_owned(),
        "ls layer:lake --exclude lake.daily".to_owned(),
        "graph".to_owned(),
        "graph +lake.weekly --format dot".to_owned(),
        "graph state:failed".to_owned(),
        "status".to_owned(),
        "status lake.daily --exit-code".to_owned(),
        "asset show lake.daily".to_owned(),
        "asset show lake.events --json".to_owned(),
        "why lake.daily 2026-03-09".to_owned(),
        "why daily".to_owned(),
        "why lake.weekly 2026-W10 --json".to_owned(),
        "plan lake.daily 2026-03-02..2026-03-04".to_owned(),
        "plan lake.summary".to_owned(),
        "materialize lake.daily --dry-run".to_owned(),
        "backfill lake.daily --failed --dry-run --json".to_owned(),
        "run ls".to_owned(),
        "run ls --state failed --asset lake.daily --json".to_owned(),
        format!("run show {run}"),
        format!("run show {}", &run[run.len() - 6..]),
        format!("run logs {run}"),
        "backfill ls".to_owned(),
        format!("backfill show {backfill}"),
        "schedule ls".to_owned(),
        "schedule next --around 2026-03-29 --count 3".to_owned(),
        "schedule next nightly --json".to_owned(),
        "schedule trigger nightly --dry-run".to_owned(),
        "sensor ls".to_owned(),
        "alert ls".to_owned(),
        "quarantine ls".to_owned(),
        "quarantine release --asset lake.events".to_owned(),
        "mark lake.events --from 2026-03-02 --to 2026-03-03 --reason 'by hand' --dry-run".to_owned(),
        "worker ls".to_owned(),
    ];
    for line in lines {
        assert_eq!(server.says(&line).await, server.lake.says(&line).await, "{line}");
    }
}

#[tokio::test]
async fn how_all_assets_stand_is_told_however_many_pages_it_takes() {
    let server = Server::with(Lake::new().await, definitions(community(120))).await;
    let said = server.says("status --json --exit-code").await;
    let (told, exit) = said.rsplit_once('[').unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(told, serde_json::to_value(server.service.status(None).await.unwrap()).unwrap());
    assert_eq!((told["assets"].as_array().unwrap().len(), exit.trim()), (120, "4]"));
}

#[tokio::test]
async fn what_goes_wrong_is_said_alike() {
    let server = built().await;
    let run = server.asked("/runs").await["items"][0]["run_id"].as_str().unwrap().to_owned();
    for (line, exit) in [
        ("why lake.dialy", "[2]"),
        ("ls lake.nothing", "[2]"),
        ("status tag:nothing", "[2]"),
        ("why lake.daily 2026-02-30", "[2]"),
        ("plan lake.events", "[2]"),
        ("materialize lake.summary", "[1]"),
        ("backfill lake.daily --stale", "[0]"),
        ("run show abcdef", "[2]"),
        ("run show zz", "[2]"),
        (&format!("run cancel {run}"), "[1]"),
        ("schedule pause never", "[2]"),
        ("sensor show never", "[2]"),
        ("alert show 7", "[2]"),
        ("quarantine show 7", "[2]"),
        ("mark lake.daily --from 2026-03-02 --reason x", "[1]"),
    ] {
        let there = server.says(line).await;
        assert_eq!(there, server.lake.says(line).await, "{line}");
        assert!(there.ends_with(exit), "{line}: {there}");
    }
}

#[tokio::test]
async fn what_is_done_is_done_there() {
    let server = Server::new().await;
    server.lake.record(2, 8, 3).await;
    let said = server.says("backfill lake.daily 2026-03-02..2026-03-04 --detach").await;
    assert!(said.starts_with("Launched backfill ") && said.ends_with("[0]"), "{said}");
    let id = said.split_whitespace().nth(2).unwrap().trim_end_matches(':').to_owned();
    for (verb, expected) in
        [("pause", "Paused backfill"), ("pause", "was paused already"), ("cancel", "Canceled backfill")]
    {
        let said = server.says(&format!("backfill {verb} {id}")).await;
        assert!(said.contains(expected) && said.ends_with("[0]"), "{verb}: {said}");
    }
    let said = server.says(&format!("backfill retry {id} --canceled --detach")).await;
    assert!(said.contains("3 partitions"), "{said}");
    assert!(server.says("schedule pause nightly").await.contains("Schedule nightly is paused, since"));
    assert!(server.says("schedule resume nightly").await.contains("Schedule nightly is on;"));
    let said = server.says("schedule trigger nightly --at 2026-03-05T03:15 --detach").await;
    assert!(said.contains("Launched run"), "{said}");
    let said = server.says("mark lake.events --from 2026-03-02 --reason 'by hand'").await;
    assert!(said.starts_with("Marked lake.events 2026-03-02"), "{said}");
}

#[tokio::test]
async fn who_waits_sees_how_workers_there_carry_it_out() {
    let server = Server::new().await;
    server.lake.record(2, 8, 3).await;
    let work = async {
        // Whoever works there takes up what is launched.
        for _ in 0..1_000 {
            if let Some(run) = server.asked("/runs?live=true").await["items"][0]["run_id"].as_str() {
                return server.lake.says(&format!("run resume {run}")).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing was launched");
    };
    let (said, worked) = tokio::join!(server.says("materialize lake.daily 2026-03-02..2026-03-04"), work);
    assert!(worked.ends_with("[0]"), "{worked}");
    assert!(said.contains("succeeded: 3 built of 3 partitions in") && said.ends_with("[0]"), "{said}");
}

#[tokio::test]
async fn who_may_do_what_is_looked_at_and_changed_there() {
    let server = Server::new().await;
    for line in ["user add ada --role admin --generate", "user add vera --no-password", "user add otto --no-password"] {
        assert!(server.lake.says(line).await.ends_with("[0]"), "{line}");
    }
    let token = async |user: &str, role: &str| {
        let made = server.lake.says(&format!("user token add {user} --name far --role {role} --json")).await;
        let made: serde_json::Value = serde_json::from_str(made.trim_end_matches("[0]")).unwrap();
        made["secret"].as_str().unwrap().to_owned()
    };
    let (admin, viewer) = (token("ada", "admin").await, token("vera", "viewer").await);
    // More than a page has.
    sqlx::query(
        "insert into karat.audit (happened_at, who, role, via, action)
         select '2026-03-01T10:00:00Z', 'eve', 'viewer', 'login', 'login failed' from generate_series(1, 1200)",
    )
    .execute(&server.lake.pool)
    .await
    .unwrap();
    let says = async |line: &str| {
        let token = format!(" --token {admin}");
        server.says(&format!("{line}{token}")).await.replace(&token, "")
    };
    for (line, exit) in [
        ("user ls", "[0]"),
        ("user ls --json", "[0]"),
        ("user token ls", "[0]"),
        ("user token ls vera --json", "[0]"),
        ("user token ls nobody", "[2]"),
        ("audit ls", "[0]"),
        ("audit ls --json --limit 2", "[0]"),
        ("audit ls --user eve --limit 1100 --before 1150", "[0]"),
        ("audit ls --action 'user token' --limit 1", "[0]"),
        ("audit ls --user nobody", "[0]"),
        ("audit ls --run zz", "[2]"),
        ("user role nobody viewer", "[2]"),
        ("user disable ada", "[1]"),
        ("user enable vera", "[0]"),
        ("user token revoke 99", "[2]"),
    ] {
        let there = says(line).await;
        assert_eq!(there, server.lake.says(line).await, "{line}");
        assert!(there.ends_with(exit), "{line}: {there}");
    }
    let mut done = Vec::new();
    for line in [
        "user role vera operator",
        "user logout vera",
        "user disable vera",
        "user disable vera",
        "user enable vera --json",
        "user token revoke 2",
        "audit ls --user ada --limit 4",
    ] {
        done.push(format!("$ lake {line}\n{}", says(line).await));
    }
    let _guard = crate::service_lake::settings().bind_to_scope();
    insta::assert_snapshot!(done.join("\n"), @r#"
    $ lake user role vera operator
    User vera is operator.
    [0]
    $ lake user logout vera
    User vera was logged in nowhere.
    [0]
    $ lake user disable vera
    User vera is disabled: sessions ended, tokens are worth nothing.
      undo    lake user enable vera
    [0]
    $ lake user disable vera
    User vera was disabled already.
    [0]
    $ lake user enable vera --json
    {
      "name": "vera",
      "role": "operator",
      "disabled_at": null,
      "changed": true
    }
    [0]
    $ lake user token revoke 2
    Token `far` of vera is worth nothing.
    [0]
    $ lake audit ls --user ada --limit 4
      ID  WHEN                       WHO  ROLE   VIA    FROM       WHAT               COMMAND
    1210  2026-03-20 11:00:00+01:00  ada  admin  token  127.0.0.1  user token revoke  user token revoke 2
    1209  2026-03-20 11:00:00+01:00  ada  admin  token  127.0.0.1  user enable        user enable vera
    1208  2026-03-20 11:00:00+01:00  ada  admin  token  127.0.0.1  user disable       user disable vera
    1207  2026-03-20 11:00:00+01:00  ada  admin  token  127.0.0.1  user logout        user logout vera

    Older: lake audit ls --user ada --before 1207
    [0]
    "#);
    let revoked = server.says(&format!("user ls --token {viewer}")).await;
    assert!(revoked.contains("wants to know who asks") && revoked.ends_with("[1]"), "{revoked}");
    let viewer = token("otto", "viewer").await;
    for line in ["user ls", "audit ls", "user disable ada", "user token revoke 1"] {
        let refused = server.says(&format!("{line} --token {viewer}")).await;
        assert!(refused.contains("does not allow this to the account of the token"), "{line}: {refused}");
    }
}

#[tokio::test]
async fn what_no_server_does_says_why_and_what_to_do() {
    let server = Server::new().await;
    for line in ["up", "worker", "check", "migrate", "gc"] {
        let said = server.says(line).await;
        assert_eq!(
            said,
            format!(
                "error: this needs the database itself, which --server does not reach; run it where the database is, \
                 without --server (and KARAT_SERVER): lake {line}\n[2]"
            )
        );
    }
    for (line, command) in [
        ("user add ada --no-password", "user add ada --role viewer"),
        ("user passwd ada --generate", "user passwd ada"),
        ("user token add ada --name far --role operator", "user token add ada --name TEXT --role operator"),
    ] {
        let said = server.says(line).await;
        assert_eq!(
            said,
            format!(
                "error: no user, password or token is made by way of --server, so that whoever got hold of a token cannot \
                 stay when it is revoked; run it where the database is, without --server (and KARAT_SERVER): lake \
                 {command}\n[2]"
            )
        );
    }
}

#[tokio::test]
async fn the_way_to_a_server_is_checked_before_anything_is_sent() {
    let server = Server::new().await;
    let says = async |line: &str| server.lake.says(line).await;
    insta::assert_snapshot!(says("status --server karat.example.org").await, @"
    error: --server is no address of a server: write for example https://karat.example.org
    [2]
    ");
    insta::assert_snapshot!(says("status --server http://karat.example.org:4747").await, @"
    error: http://karat.example.org:4747 is not encrypted, and everybody on the way could read the token: use https, or say --insecure
    [2]
    ");
    insta::assert_snapshot!(says("status --server https://ada:opensesame@karat.example.org").await, @"
    error: --server has a user or password in it: log in with a token, --token-file
    [2]
    ");
    insta::assert_snapshot!(says("status --server http://localhost:1 --token-file /nowhere/token").await, @"
    error: --token-file names /nowhere/token, which cannot be read: No such file or directory (os error 2)
    [2]
    ");
    let away = says("status --server http://127.0.0.1:1").await;
    assert!(away.starts_with("error: http://127.0.0.1:1 does not answer: ") && away.ends_with("[5]"), "{away}");
}

#[tokio::test]
async fn a_token_is_shown_to_nobody() {
    let server = Server::new().await;
    let secret = "karat_opensesameopensesame";
    let said = server.says(&format!("status --token {secret}")).await;
    assert!(said.ends_with("[1]") && said.contains("token"), "{said}");
    assert!(!said.contains("opensesame"), "{said}");
    let line = ["lake", "status", "--token", secret];
    let (options, _) = karat::cli::parse::<karat::cli::Verb>(&crate::service_lake::APPLICATION, line).unwrap();
    assert!(!format!("{options:?}").contains("opensesame"));
}
