//! Nothing is done of which nobody knows who did it.

use std::fmt::Debug;
use std::sync::Arc;

use karat::prelude::*;
use karat::service::{
    AuditQuery, AuditView, Caller, Extent, Identity, LaunchKind, LoginRequest, Password, QuarantineScope, Request,
    Retention, Role, SensorChange, Service,
};
use karat::store::migrate::Migrations;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;

use crate::quarantine::{DailyReadings, Reading, append, calendar, sensors};
use crate::receiver::Receiver;
use crate::service_lake::{Lake, assets};

const PASSWORD: &str = "correct horse battery";

const READINGS: &str = "sensor.readings";

fn definitions() -> Definitions {
    let sensor = Sensor::new("files", Duration::from_secs(60), |_| async { Ok(SensorResult::skip("no file")) });
    Definitions::builder(calendar())
        .external::<Reading>()
        .sql::<DailyReadings>()
        .schedule(Schedule::new("nightly", "15 3 * * *").selection("sensor.daily"))
        .sensor(sensor)
        .build()
        .unwrap()
}

/// An installation in which records can be made to fail.
struct Recorded {
    lake: Lake,
    service: Service,
}

impl Recorded {
    fn new(lake: Lake, definitions: Definitions, migrations: Migrations) -> Self {
        let options = lake.database.connect_options();
        let pool = PgPoolOptions::new().connect_lazy_with(options.clone());
        let (definitions, migrations) = (Arc::new(definitions), Arc::new(migrations));
        let service = Service::new(pool, options, definitions, migrations, lake.clock.clone());
        Self { service: service.acting(Caller::local(None)), lake }
    }

    async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.lake.pool).await.unwrap();
    }

    /// From now on these statements on the record fail.
    async fn fail_on(&self, statements: &str) {
        self.execute(&format!(
            "create function public.refuse() returns trigger language plpgsql as
                 $$ begin raise 'the record cannot be written'; end $$;
             create trigger refuse before {statements} on karat.audit execute function public.refuse()"
        ))
        .await;
    }

    async fn repair(&self) {
        self.execute("drop function public.refuse cascade").await;
    }

    /// Every row of the state and of the data, by table. What counts failed logins is another matter.
    async fn everything(&self) -> Vec<String> {
        let tables: Vec<String> = sqlx::query_scalar(
            "select oid::regclass::text from pg_class
             where relkind = 'r' and relnamespace::regnamespace::text in ('karat', 'sensor')
               and relname <> 'login_failure' order by 1",
        )
        .fetch_all(&self.lake.pool)
        .await
        .unwrap();
        let mut everything = Vec::new();
        for table in tables {
            let rows = format!("select '{table} ' || t::text from {table} t order by 1");
            everything
                .extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(rows)).fetch_all(&self.lake.pool).await.unwrap());
        }
        everything
    }

    async fn records(&self) -> Vec<AuditView> {
        self.service.audit(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).await.unwrap()
    }

    /// Does `action` while nothing can be recorded, which must change nothing.
    async fn fails<T: Debug, E>(&self, what: &str, mut action: impl AsyncFnMut() -> Result<T, E>) {
        let before = self.everything().await;
        self.fail_on("insert").await;
        let done = action().await;
        self.repair().await;
        assert!(done.is_err(), "{what}: {:?}", done.ok());
        assert_eq!(self.everything().await, before, "{what} changed something that is not recorded");
    }

    /// Does `action`, first without a record, which must change nothing, and then with one, which must be `what`.
    async fn does<T: Debug, E: Debug>(&self, what: &str, mut action: impl AsyncFnMut() -> Result<T, E>) -> T {
        self.fails(what, &mut action).await;
        let records = self.records().await.len();
        let done = action().await.unwrap();
        let after = self.records().await;
        assert_eq!((after.len(), after[0].what().as_str()), (records + 1, what));
        done
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_is_not_done() {
    let lake = sensors().await;
    append(&lake, &[("2026-03-02T10:00:00Z", 1), ("2026-03-03T10:00:00Z", 2), ("2026-03-19T10:00:00Z", 3)]).await;
    let recorded = Recorded::new(lake, definitions(), assets::migrations());
    let service = &recorded.service;
    let password = || Password::chosen(PASSWORD.to_owned()).unwrap();
    service.unattended().create_account("ada", Role::Admin, Some(&password())).await.unwrap();

    let otto = ("otto", Role::Operator);
    recorded.does("user add", async || service.create_account(otto.0, otto.1, Some(&password())).await).await;
    recorded.does("user role", async || service.set_role("otto", Role::Viewer).await).await;
    recorded.does("user disable", async || service.disable_account("otto").await).await;
    recorded.does("user enable", async || service.enable_account("otto").await).await;
    recorded.does("user passwd", async || service.set_password("otto", &password()).await).await;
    let token =
        recorded.does("user token add", async || service.create_token("otto", "a", Role::Viewer, None).await).await;
    recorded.does("user token revoke", async || service.revoke_token(token.token.token_id).await).await;

    let login = || LoginRequest {
        name: "otto".to_owned(),
        password: Password::typed(PASSWORD.to_owned()),
        address: None,
        user_agent: None,
    };
    let logged_in = recorded.does("login", async || service.login(login()).await).await;
    let otto = service.acting(logged_in.caller);
    recorded.does("user passwd", async || otto.change_own_password(&password(), &password()).await).await;
    let wrong = Password::typed("wrong".to_owned());
    let refused = otto.change_own_password(&wrong, &password()).await.unwrap_err().to_string();
    assert_eq!(
        (refused.as_str(), recorded.records().await[0].action.as_str()),
        ("the present password is another one", "user passwd failed")
    );
    recorded.does("user logout", async || otto.end_other_sessions().await).await;
    recorded.does("user logout", async || service.end_sessions("otto").await).await;
    let otto = service.acting(service.login(login()).await.unwrap().caller);
    recorded.does("logout", async || otto.logout().await).await;

    let request = Request::new("sensor.daily", Extent::Text("2026-03-19".to_owned()));
    let launch = async |kind| service.launch(&request, kind).await;
    let run_id = recorded.does("materialize", async || launch(LaunchKind::Materialize).await).await.run_id;
    recorded.does("run cancel", async || service.cancel_run(run_id).await).await;
    recorded.does("run retry", async || service.retry_run(run_id, true).await).await;
    let backfill = recorded.does("backfill", async || launch(LaunchKind::Backfill).await).await.backfill_id.unwrap();
    recorded.does("backfill pause", async || service.pause_backfill(backfill).await).await;
    recorded.does("backfill resume", async || service.resume_backfill(backfill).await).await;
    recorded.does("backfill limit", async || service.limit_backfill(backfill, Some(1)).await).await;
    recorded.does("backfill cancel", async || service.cancel_backfill(backfill).await).await;
    recorded.does("backfill retry", async || service.retry_backfill(backfill, true).await).await;
    recorded.does("mark", async || service.mark(READINGS, "2026-03-19", "a look", false).await).await;

    service.schedules().await.unwrap();
    service.sensors().await.unwrap();
    service.resume_schedule("nightly").await.unwrap();
    recorded.does("schedule pause", async || service.pause_schedule("nightly").await).await;
    recorded.does("schedule resume", async || service.resume_schedule("nightly").await).await;
    recorded.does("schedule trigger", async || service.trigger_schedule("nightly", None).await).await;
    for (what, change) in [
        ("sensor pause", SensorChange::Pause),
        ("sensor resume", SensorChange::Resume),
        ("sensor trigger", SensorChange::Trigger),
        ("sensor reset-cursor", SensorChange::Cursor(Some("7".to_owned()))),
    ] {
        recorded.does(what, async || service.change_sensor("files", &change).await).await;
    }
    let one = QuarantineScope::Rows(vec![1]);
    let released = recorded.does("quarantine release", async || service.release_quarantined(&one).await).await;
    let rest = QuarantineScope::Asset(READINGS.to_owned());
    let discarded = recorded.does("quarantine discard", async || service.discard_quarantined(&rest).await).await;
    assert_eq!((released.inserted, discarded.rows), (1, 1));
    let records = recorded.records().await.len();
    service.discard_quarantined(&rest).await.unwrap();
    assert_eq!(recorded.records().await.len(), records, "nothing was decided");

    let receiver = Receiver::start().await;
    let channel = receiver.channel();
    recorded.does("alert test", async || service.test_channel("lake", &*channel).await).await;
    assert_eq!(receiver.take().len(), 1, "what could not be recorded was not sent");
    recorded.lake.clock.advance(Duration::from_secs(400 * 86_400));
    let collect = async || service.collect_garbage(Retention::default(), false).await;
    recorded.fails("gc", collect).await;
    assert!(!collect().await.unwrap().is_empty());
    let records = recorded.records().await;
    assert_eq!((records.len(), records[0].what().as_str()), (1, "gc"), "the old ones have gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_that_a_provider_makes_or_changes_are_recorded_with_that() {
    let recorded = Recorded::new(sensors().await, definitions(), assets::migrations());
    let service = &recorded.service;
    let password = Password::chosen(PASSWORD.to_owned()).unwrap();
    service.unattended().create_account("ada", Role::Admin, Some(&password)).await.unwrap();
    let grace = |role| Identity { subject: "17".to_owned(), name: "Grace".to_owned(), role };
    let login = async |role| service.login_as("club", &grace(role), None, None).await;
    recorded.fails("another account", async || login(Role::Operator).await).await;
    for role in [Role::Operator, Role::Operator, Role::Viewer] {
        login(role).await.unwrap();
    }
    recorded.fails("another role", async || login(Role::Admin).await).await;
    let lines = recorded.records().await.into_iter().rev().map(|record| {
        let detail = record.detail.map(|detail| detail.to_string()).unwrap_or_default();
        format!("{} {} {}: {} {detail}", record.who, record.role, record.via, record.action)
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n").replace(" \n", "\n"), @r#"
    grace operator login: user add {"provider":"club","role":"operator"}
    grace operator login: login
    grace operator login: login
    grace viewer login: user role {"before":"operator","provider":"club","role":"viewer"}
    grace viewer login: login
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_and_never_ended_says_so() {
    let recorded = Recorded::new(sensors().await, definitions(), assets::migrations());
    recorded.fail_on("update").await;
    recorded.service.collect_garbage(Retention::default(), false).await.unwrap();
    let record = recorded.records().await.remove(0);
    assert_eq!((record.action.as_str(), record.what().as_str()), ("gc", "gc (begun, outcome unknown)"));
    assert!(recorded.lake.says("audit ls").await.contains("gc (begun, outcome unknown)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_recorded_before_it_begins_where_there_is_a_place_for_that() {
    let definitions = || assets::definitions(calendar()).unwrap();
    let recorded = Recorded::new(Lake::migrated_with(&Migrations::karat()).await, definitions(), assets::migrations());
    let pending = recorded.service.schema_state().await.unwrap().pending;
    assert_eq!(pending.len(), 1, "{pending:?}");
    let migrated = recorded.does("migrate", async || recorded.service.migrate(false).await).await;
    assert_eq!(migrated.migrations, pending);
    recorded.service.migrate(false).await.unwrap();
    assert_eq!(recorded.records().await.len(), 1, "nothing was applied");

    recorded.execute("drop schema karat cascade; drop schema lake cascade").await;
    recorded.service.migrate(false).await.unwrap();
    let records = recorded.records().await;
    assert_eq!((records.len(), records[0].what().as_str()), (1, "migrate"));
}
