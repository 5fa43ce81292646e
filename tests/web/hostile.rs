//! Text that wants to be more than text, wherever somebody can write some, on every page; and what is offered to whoever
//! may only look, on the same pages.

use std::collections::BTreeSet;

use karat::engine::{Worker, WorkerSettings};
use karat::prelude::*;
use karat::service::{Extent, LaunchKind, Request, Role};
use reqwest::Method;

use crate::access::token_of;
use crate::look::begin_first_step;
use crate::server::{Answer, Server, calendar, encoded};
use crate::service_lake::Lake;
use crate::{html, states};

/// What closes tags, attributes and strings, what a terminal obeys, and what turns the direction of writing around.
const HOSTILE: &str = "</pre></title></svg>\"'><script>alert(1)</script><img src=x onerror=alert(1)> {{7*7}} & &lt; \
                       \u{202e}drow\u{7}\u{1b}[31m\u{2066}";

/// None of this may be in an answer: it was never written so by a template.
const FORBIDDEN: [&str; 3] = ["<script>", "<img src=x", "</pre></title>"];

/// No page is larger, however long a text is that somebody wrote.
const MOST_BYTES: usize = 400_000;

/// The keys of a list, in which everything may stand that can be printed.
#[allow(unreachable_pub)]
pub struct Places;
impl StaticKeys for Places {
    const KEYS: &'static [&'static str] =
        &["europe", "</td><script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "\u{202e}drow & &lt;"];
}

// Tags and owners are what selections can name, and so never hostile.
table! {
    /// <script>alert("rows")</script> that come from outside.
    ///
    /// </p>
    pub struct Raw {
        pub at: DateTime<Utc>,
        pub id: i64,
        /// <img src=x onerror=alert(1)>
        pub note: Option<String>,
    }
}
impl Asset for Raw {
    const KEY: AssetKey = AssetKey::new("wild.raw");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "at";
    const NATURAL_KEY: &'static [&'static str] = &["id", "at"];
    type Upstream = ();
}
impl ExternalAsset for Raw {
    const LATE_LIMIT: Option<Duration> = Some(Duration::from_secs(3 * 86_400));
}

table! {
    /// Rows of a place.
    pub struct Placed {
        pub place: String,
        pub count: i64,
    }
}
impl Asset for Placed {
    const KEY: AssetKey = AssetKey::new("wild.placed");
    type Partitions = Static<Places>;
    const PARTITION_COLUMN: &'static str = "place";
    type Upstream = (Mapped<Raw, All>,);
    const POOL: Option<&'static str> = Some("press");
    const AUTOMATION: Automation = Automation::eager();
}
impl SqlAsset for Placed {
    const SQL: &'static str =
        "select $1 as place, count(*) as count from wild.raw where coalesce(note, '<script>') <> '</script>'";
}

fn definitions() -> Definitions {
    let sensor = Sensor::new("files", Duration::from_secs(60), async |_| Ok(SensorResult::skip(HOSTILE)));
    let title = || (HOSTILE, HOSTILE);
    let dashboard = Dashboard::new("wild", title()).about(title()).chart(
        Chart::bars("rows", title(), Raw::KEY)
            .over("at")
            .series(Series::new(title(), "id").definition(title()))
            .unit(title()),
    );
    Definitions::builder(calendar())
        .external::<Raw>()
        .sql::<Placed>()
        .pool("press", 1)
        .sensor(sensor.description(HOSTILE))
        .schedule(Schedule::new("nightly", "15 3 * * *").selection("wild.placed").description(HOSTILE))
        .dashboard(dashboard.chart(Chart::table("table", title(), Raw::KEY).over("at")))
        .build()
        .unwrap()
}

/// A server with what there is to be shown of it.
struct Wild {
    server: Server,
    run: String,
    backfill: String,
    alert: String,
    /// In quarantine.
    row: String,
    /// It has a step to carry out for as long as it is there.
    _worker: Worker,
}

/// A server in whose database everything that somebody can write is hostile, and long.
async fn wild() -> Wild {
    let lake = Lake::new().await;
    for statement in [
        "create schema wild",
        "create table wild.raw (at timestamptz not null, id bigint not null, note text, unique (id, at))",
        "create table wild.placed (place text not null, count bigint not null)",
    ] {
        sqlx::query(statement).execute(&lake.pool).await.unwrap();
    }
    let server = Server::with(lake, definitions()).await;
    let text = format!("{HOSTILE}{}", "x".repeat(5_000));
    let now = karat::clock::Clock::now(&*server.lake.clock);
    let rows: Vec<Raw> = [now, now - chrono::TimeDelta::days(15)]
        .into_iter()
        .zip(1..)
        .map(|(at, id)| Raw { at, id, note: Some(text.clone()) })
        .collect();
    let (pool, definitions) = (&server.lake.pool, server.service.definitions());
    karat::engine::external::append_rows(pool, definitions, &*server.lake.clock, &text, &rows).await.unwrap();
    let all = || Request { force: true, ..Request::new("wild.placed", Extent::All) };
    let built = server.service.launch(&all(), LaunchKind::Materialize).await.unwrap();
    let worker = server.service.worker(server.lake.logs.clone(), WorkerSettings::default());
    assert!(worker.work_until_idle().await.unwrap() > 0);
    let backfill = server.service.launch(&all(), LaunchKind::Backfill).await.unwrap();
    let worker = begin_first_step(&server).await;
    plant(&server, &text).await;
    let number = async |statement: &'static str| -> i64 {
        sqlx::query_scalar(statement).fetch_one(&server.lake.pool).await.unwrap()
    };
    Wild {
        run: built.run_id.to_string(),
        backfill: backfill.backfill_id.unwrap().to_string(),
        alert: number("select min(alert_id) from karat.alert").await.to_string(),
        row: number("select min(quarantine_id) from karat.quarantine").await.to_string(),
        _worker: worker,
        server,
    }
}

/// Writes the text wherever the database takes it from somebody.
async fn plant(server: &Server, text: &str) {
    for statement in [
        // One step failed with it, and the run with the step.
        "update karat.step set state = 'failed', reason = $1 where step_id = (select min(step_id) from karat.step)",
        "update karat.step set reason = $1 where state not in ('pending', 'ready', 'running')",
        "update karat.attempt set outcome = 'failed', error = $1, error_kind = $1, backtrace = $1
         where step_id = (select min(step_id) from karat.step)",
        "update karat.run set outcome = 'failed' where finished_at is not null",
        "update karat.run set request = jsonb_build_object('command', $1), requested_by = $1,
            cause_detail = jsonb_build_object($1, $1)",
        "update karat.backfill set request = jsonb_build_object('command', $1)",
        "update karat.event set kind = $1, detail = jsonb_build_object($1, $1)",
        "update karat.materialization set metadata = jsonb_build_object($1, 3, 'rows', 4),
            input_versions = jsonb_build_object('wild.raw', $1), code_version = $1",
        "insert into karat.log_line
            (logged_at, run_id, step_id, lease_epoch, sequence, level, target, message, fields)
         select '2026-03-20T10:00:00Z', run_id, step_id, 1, 1, $1, $1, $1, jsonb_build_object($1, $1) from karat.step",
        "insert into karat.check_result (step_id, lease_epoch, asset_key, partition_key, check_name, blocking, passed,
            offending_rows, message, checked_at)
         select step_id, 1, asset_key, partition_key, $1, true, false, 1, $1, '2026-03-20T10:00:00Z' from karat.step",
        "insert into karat.schedule (name, expression, zone, evaluated_until, retired_at)
         select 'gone', $1, $1, '2026-03-19T04:00:00Z', '2026-03-19T08:00:00Z'",
        "insert into karat.tick (schedule, tick_at, kind, outcome, message, recorded_at)
         select name, '2026-03-20T02:15:00Z'::timestamptz, 'scheduled', 'failed', $1, '2026-03-20T02:15:00Z'::timestamptz
         from (values ('nightly'), ('gone')) as schedule (name)",
        "insert into karat.sensor (name, cursor, due_at, failing_since)
         values ('files', $1, '2026-03-20T10:00:00Z', '2026-03-20T09:00:00Z')",
        "insert into karat.sensor_tick (sensor, tick_at, until_at, outcome, message, run_ids)
         select name, due_at, due_at, 'failed', $1, '{}' from karat.sensor",
        "insert into karat.alert (kind, subject, severity, title, explanation, command, opened_at, last_seen_at)
         values ('run_failed', $1, 'error', $1, $1, $1, '2026-03-20T09:00:00Z', '2026-03-20T09:00:00Z')",
        "insert into karat.alert_delivery (alert_id, channel, event, created_at, next_try_at, last_error)
         select alert_id, $1, 'opened', '2026-03-20T09:00:00Z', '2026-03-20T10:05:00Z', $1 from karat.alert",
        "update karat.quarantine set reason = $1, row_data = row_data || jsonb_build_object($1, $1)",
        "insert into karat.account (name, role, created_at) values ($1, 'viewer', '2026-03-20T09:00:00Z')",
        "insert into karat.token (token_hash, account_id, name, prefix, role, created_at)
         select sha256(name::bytea), account_id, $1, $1, 'viewer', created_at from karat.account, (values ($1)) as planted",
        "insert into karat.session (session_hash, account_id, created_at, last_seen_at, expires_at, address, user_agent)
         select sha256(name::bytea), account_id, created_at, created_at, '2027-01-01T00:00:00Z', $1, $1
         from karat.account",
        "insert into karat.audit (happened_at, who, role, via, address, action, target, command, detail)
         select '2026-03-20T09:00:00Z'::timestamptz, $1, $1, 'local', $1, $1, $1, command, jsonb_build_object($1, $1)
         from (values ($1), (null)) as typed (command)",
        "update karat.worker set host = $1",
        "insert into karat.reconciler (name, worker_id, started_at, succeeded_at, error, report)
         select $1 || '<', gen_random_uuid(), opened_at, opened_at, $1, $1 from karat.alert",
    ] {
        let planted = sqlx::query(statement).bind(text).execute(&server.lake.pool).await;
        let planted = planted.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert!(planted.rows_affected() > 0, "{statement}: nothing");
    }
}

impl Wild {
    /// Addresses of every page, in as many ways as it can be asked for.
    fn addresses(&self) -> Vec<(&'static str, String)> {
        let hostile = encoded(HOSTILE);
        let places = Places::KEYS.iter().map(|place| encoded(place));
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for place in places {
            found.push(("/assets/{name}/why", format!("/assets/wild.placed/why?partition={place}")));
            found.push(("/assets/{name}/plan", format!("/assets/wild.placed/plan?from={place}")));
            found.push(("/runs", format!("/runs?asset=wild.placed&partition={place}")));
            found.push(("/runs/{run_id}/log", format!("/runs/{}/log?asset=wild.placed&partition={place}", self.run)));
            found.push(("/tables/{asset}", format!("/tables/wild.placed?partitions={place}&where.place={place}")));
        }
        found.push(("/assets/{name}/mark", format!("/assets/wild.raw/mark?from=2026-03-05&reason={hostile}")));
        let views = ["columns", "checks", "metadata", "policies"];
        found.extend(views.iter().flat_map(|view| {
            ["raw", "placed"].map(|asset| ("/assets/{name}", format!("/assets/wild.{asset}?view={view}")))
        }));
        for page in states::pages() {
            let ids = |name: &str| match (page, name) {
                ("/alerts/{id}", _) => self.alert.clone(),
                ("/quarantine/{id}", _) => self.row.clone(),
                ("/backfills/{id}", _) => self.backfill.clone(),
                (_, "run_id") => self.run.clone(),
                (_, "dashboard") => "wild".to_owned(),
                (_, "chart") => "rows".to_owned(),
                (_, "file") => "rows.json".to_owned(),
                (path, _) if path.starts_with("/schedules") => "nightly".to_owned(),
                (path, _) if path.starts_with("/sensors") => "files".to_owned(),
                (path, _) if path.starts_with("/login") => "club".to_owned(),
                _ => "wild.placed".to_owned(),
            };
            let filled = |value: &dyn Fn(&str) -> String| {
                let part = |part: &str| match part.strip_prefix('{') {
                    Some(name) => value(name.trim_end_matches('}')),
                    None => part.to_owned(),
                };
                page.split('/').map(part).collect::<Vec<_>>().join("/")
            };
            let path = filled(&ids);
            found.push((page, path.clone()));
            // As it may be asked for: nothing of it makes sense.
            found.push((page, filled(&|_| hostile.clone())));
            for name in PARAMETERS {
                found.push((page, format!("{path}?{name}={hostile}")));
            }
        }
        found
    }
}

/// What pages take from their addresses.
const PARAMETERS: [&str; 20] = [
    "action",
    "after",
    "asset",
    "at",
    "back",
    "before",
    "by.rows",
    "cursor",
    "done",
    "from",
    "layer",
    "next",
    "partition",
    "partitions",
    "select",
    "sort",
    "state",
    "text",
    "user",
    "view",
];

/// Asks for a page as somebody does who has this token.
async fn asked(server: &Server, token: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = server.request(Method::GET, path).bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request).await
}

/// What is wrong with what somebody's browser got.
fn problems(path: &str, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if answer.status >= 500 {
        found.push(format!("{path}: {}", answer.status));
    }
    if !answer.header("content-type").starts_with("text/html") {
        let is_data =
            ["application/json", "text/csv"].iter().any(|kind| answer.header("content-type").starts_with(kind));
        if !is_data && !answer.text.is_empty() {
            found.push(format!("{path}: {}", answer.header("content-type")));
        }
        return found;
    }
    if answer.text.len() > MOST_BYTES {
        found.push(format!("{path}: {} bytes", answer.text.len()));
    }
    found.extend(FORBIDDEN.iter().filter(|text| answer.text.contains(**text)).map(|text| format!("{path}: {text}")));
    found.extend(html::problems(&answer.text).into_iter().map(|problem| format!("{path}: {problem}")));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_written_anywhere_is_text_on_every_page() {
    let wild = wild().await;
    let server = &wild.server;
    let (admin, viewer) = (token_of(server, Role::Admin).await, token_of(server, Role::Viewer).await);
    assert_eq!(asked(server, &admin, "/api/v1/status", &[]).await.status, 200);
    let (mut wrong, mut shown, mut offered) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (page, path) in wild.addresses() {
        let answer = asked(server, &admin, &path, &[]).await;
        wrong.extend(problems(&path, &answer));
        if answer.status == 200 || page.starts_with("/login") {
            shown.insert(page);
        }
        if path.contains('?') {
            continue;
        }
        let part = asked(server, &admin, &path, &[("hx-request", "true"), ("accept-language", "de")]).await;
        wrong.extend(problems(&format!("{path} in part"), &part));
        // Whoever may only look is offered nothing but what concerns themselves.
        let looked = asked(server, &viewer, &path, &[]).await;
        wrong.extend(problems(&format!("{path} by who may only look"), &looked));
        if looked.header("content-type").starts_with("text/html") {
            offered.extend(html::offered(&looked.text));
        }
    }
    let login = server.send(server.request(Method::GET, &format!("/login?next={}", encoded(HOSTILE)))).await;
    wrong.extend(problems("/login", &login));
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unseen: Vec<_> = states::pages().difference(&shown).copied().collect();
    assert!(unseen.is_empty(), "these pages were not shown: {unseen:#?}");
    let own = |path: &&String| path.starts_with("/settings/account") || path.starts_with("/settings/tokens");
    let others: Vec<_> = offered.iter().filter(|path| !own(path)).collect();
    assert!(others.is_empty(), "whoever may only look is offered {others:#?}");
}
