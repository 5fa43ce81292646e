//! All declarations together: what is refused, how it is said, and how assets are found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::future::BoxFuture;
use karat::asset::calendar::Calendar;
use karat::asset::compute::{AssetError, ComputeContext};
use karat::asset::definitions::{DefinitionErrors, Definitions};
use karat::asset::spec::{AssetKind, AssetSpec, ColumnSpec, Compute, PoolLimits, UpstreamSpec};
use karat::core::key::AssetKey;
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::{
    Automation, FreshnessPolicy, RetryPolicy, WaitPolicy, WriteMode, accepted_values, fresh, no_rows, not_null,
    references, row_count, unique,
};

fn calendar() -> Calendar {
    Calendar { zone: Tz::Europe__Berlin, first_day: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() }
}

fn key(text: &str) -> AssetKey {
    text.parse().unwrap()
}

fn column(name: &str, sql_type: &'static str) -> ColumnSpec {
    ColumnSpec { name: name.to_owned(), sql_type, nullable: false, description: String::new() }
}

fn time(cadence: Cadence) -> PartitionsDefinition {
    PartitionsDefinition::time(cadence, calendar().zone, calendar().first_day, None).unwrap()
}

/// A daily sql asset without upstreams, in which nothing is wrong.
fn daily(name: &str) -> AssetSpec {
    AssetSpec {
        key: key(name),
        kind: AssetKind::Sql,
        description: String::new(),
        type_name: "Row",
        owner: None,
        tags: Vec::new(),
        partitions: time(Cadence::Daily),
        partition_column: Some("day".to_owned()),
        columns: vec![column("day", "date"), column("users", "bigint"), column("seen_at", "timestamp with time zone")],
        upstreams: Vec::new(),
        checks: Vec::new(),
        write_mode: WriteMode::ReplacePartition,
        automation: Automation::Manual,
        wait: WaitPolicy::All,
        freshness: None,
        retry: RetryPolicy::DEFAULT,
        timeout: None,
        pool: None,
        priority: 0,
        range_partitions: 1,
        source_file: "assets/example.rs",
        sql: Some("select $3 as day, 1::bigint as users, $1 as seen_at".to_owned()),
        compute: None,
        compute_version: 0,
        late_limit: None,
        code_version: String::new(),
    }
}

fn external(name: &str) -> AssetSpec {
    AssetSpec { kind: AssetKind::External, sql: None, ..daily(name) }
}

fn reading(name: &str, upstreams: &[&str]) -> AssetSpec {
    let upstreams = upstreams
        .iter()
        .map(|upstream| UpstreamSpec { key: key(upstream), mapping: PartitionMapping::Overlap })
        .collect();
    AssetSpec { upstreams, ..daily(name) }
}

fn build(specs: Vec<AssetSpec>) -> Result<Definitions, DefinitionErrors> {
    Definitions::from_specs(calendar(), specs, PoolLimits::from([("database".to_owned(), 4)]))
}

/// The one problem that `change` makes of a daily asset with the upstream `bronze.events`, and its remedy.
fn problem_of(change: impl FnOnce(&mut AssetSpec)) -> String {
    let mut spec = reading("gold.users", &["bronze.events"]);
    change(&mut spec);
    let errors = build(vec![external("bronze.events"), spec]).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    let error = &errors.errors[0];
    assert_eq!(error.asset, Some(key("gold.users")));
    assert_eq!(error.file, "assets/example.rs");
    format!("{}: {}", error.problem, error.remedy)
}

#[test]
fn sound_declarations_are_taken() {
    let specs = vec![external("bronze.events"), reading("gold.users", &["bronze.events"])];
    let definitions = build(specs).unwrap();
    let keys: Vec<&str> = definitions.assets().map(|asset| asset.key.as_str()).collect();
    assert_eq!(keys, ["bronze.events", "gold.users"]);
    assert_eq!(definitions.graph().rank(&key("gold.users")), Some(1));
    assert_eq!(definitions.calendar(), calendar());
    assert_eq!(definitions.pools().get("database"), Some(&4));
    assert_eq!(definitions.asset(&key("gold.users")).unwrap().code_version.len(), 16);
    assert!(definitions.asset(&key("gold.nothing")).is_none());
}

#[test]
fn all_problems_are_reported_at_once_and_legibly() {
    let mut users = reading("gold.users", &["bronze.event"]);
    users.partition_column = Some("dya".to_owned());
    users.pool = Some("databse".to_owned());
    let mut report = daily("gold.report");
    report.sql = Some("select 1; select 2".to_owned());
    let errors = build(vec![external("bronze.events"), users, report]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "4 problems in the definitions

gold.report (assets/example.rs)
  * SQL has 2 statements
    write one `select`; parts of it can be named with `with`

gold.users (assets/example.rs)
  * PARTITION_COLUMN `dya` is no column
    did you mean `day`?
  * upstream `bronze.event` is not registered
    did you mean `bronze.events`? Otherwise register `bronze.event` with `Definitions::builder`
  * pool `databse` is not defined
    did you mean `database`?"
    );
}

#[test]
fn one_key_is_one_asset() {
    let mut second = daily("gold.users");
    second.source_file = "assets/other.rs";
    let errors = build(vec![daily("gold.users"), second]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the definitions

gold.users (assets/other.rs)
  * the key `gold.users` is already the key of the asset in assets/example.rs
    register each asset once, and give each its own key"
    );
}

#[test]
fn a_circle_is_told_in_order() {
    let specs = vec![
        reading("a.one", &["a.two"]),
        reading("a.two", &["a.three"]),
        reading("a.three", &["a.one"]),
        reading("a.four", &["a.one"]),
    ];
    let errors = build(specs).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    let problem = &errors.errors[0].problem;
    assert_eq!(problem, "assets read each other in a circle: `a.one` reads `a.two` reads `a.three` reads `a.one`");
}

#[test]
fn upstreams() {
    let overlap = |name: &str| UpstreamSpec { key: key(name), mapping: PartitionMapping::Overlap };
    let twice = problem_of(|spec| {
        spec.upstreams.push(UpstreamSpec { key: key("bronze.events"), mapping: PartitionMapping::All });
    });
    assert_eq!(twice, "upstream `bronze.events` is declared twice: declare it once, with one mapping");
    let itself = problem_of(|spec| spec.upstreams.push(overlap("gold.users")));
    assert_eq!(itself, "it is its own upstream: an asset cannot read what it is about to write");
    let reversed = problem_of(|spec| spec.upstreams[0].mapping = PartitionMapping::Window { start: 1, end: 0 });
    assert!(
        reversed.starts_with("the mapping to upstream `bronze.events` is impossible: window(1, 0) ends"),
        "{reversed}"
    );
    let outside = problem_of(|spec| {
        spec.kind = AssetKind::External;
        spec.sql = None;
    });
    assert!(outside.starts_with("it is external but has upstreams: "), "{outside}");
}

#[test]
fn a_mapping_must_fit_both_partitions() {
    let problem = problem_of(|spec| {
        spec.partitions = PartitionsDefinition::fixed(["europe"]).unwrap();
        spec.partition_column = Some("region".to_owned());
        spec.columns.push(column("region", "text"));
        spec.sql = Some("select $1 as region".to_owned());
    });
    assert!(problem.starts_with("the mapping to upstream `bronze.events` is impossible: "), "{problem}");
}

#[test]
fn partition_columns() {
    let missing = problem_of(|spec| spec.partition_column = None);
    assert!(missing.starts_with("it is partitioned but has no PARTITION_COLUMN: "), "{missing}");
    let needless = problem_of(|spec| {
        spec.partitions = PartitionsDefinition::Unpartitioned;
        spec.sql = Some("select 1".to_owned());
    });
    assert!(needless.starts_with("it is unpartitioned but has the PARTITION_COLUMN `day`: "), "{needless}");
    let unsuitable = problem_of(|spec| spec.partition_column = Some("users".to_owned()));
    assert!(unsuitable.starts_with("PARTITION_COLUMN `users` is a `bigint`: "), "{unsuitable}");
    let too_coarse = problem_of(|spec| spec.partitions = time(Cadence::Hourly));
    assert!(too_coarse.contains("`date`: rows of these partitions are told by an instant"), "{too_coarse}");
    let nullable = problem_of(|spec| spec.columns[0].nullable = true);
    assert!(nullable.starts_with("PARTITION_COLUMN `day` may be null: "), "{nullable}");
    assert!(build(vec![AssetSpec { partition_column: Some("seen_at".to_owned()), ..daily("gold.users") }]).is_ok());
}

#[test]
fn columns() {
    let none = problem_of(|spec| {
        spec.columns.clear();
        spec.partitions = PartitionsDefinition::Unpartitioned;
        spec.partition_column = None;
        spec.sql = Some("select".to_owned());
    });
    assert!(none.starts_with("the row struct has no columns: "), "{none}");
    let twice = problem_of(|spec| spec.columns.push(column("users", "text")));
    assert!(twice.starts_with("column `users` occurs twice: "), "{twice}");
    let long = problem_of(|spec| spec.columns.push(column(&"ä".repeat(32), "text")));
    assert!(long.contains("has 64 bytes: use at most 63: PostgreSQL cuts longer names"), "{long}");
    let reserved = problem_of(|spec| spec.columns.push(column("xmin", "text")));
    assert!(reserved.contains("system column `xmin`"), "{reserved}");
    assert!(
        build(vec![AssetSpec {
            columns: vec![column("day", "date"), column(&"a".repeat(63), "text")],
            ..daily("gold.users")
        }])
        .is_ok()
    );
}

#[test]
fn natural_keys() {
    let append =
        |columns: &[&str]| WriteMode::Append { natural_key: columns.iter().map(|&name| name.to_owned()).collect() };
    let empty = problem_of(|spec| spec.write_mode = append(&[]));
    assert!(empty.starts_with("it appends but its natural key has no columns: "), "{empty}");
    let unknown = problem_of(|spec| spec.write_mode = append(&["day", "user"]));
    assert_eq!(unknown, "NATURAL_KEY `user` is no column: did you mean `users`?");
    let twice = problem_of(|spec| spec.write_mode = append(&["day", "day"]));
    assert!(twice.starts_with("NATURAL_KEY names `day` twice: "), "{twice}");
    let nullable = problem_of(|spec| {
        spec.columns[1].nullable = true;
        spec.write_mode = append(&["day", "users"]);
    });
    assert!(nullable.starts_with("NATURAL_KEY column `users` may be null: "), "{nullable}");
}

#[test]
fn statements() {
    let with = |sql: &'static str| problem_of(|spec| spec.sql = Some(sql.to_owned()));
    assert_eq!(with(" -- nothing\n;"), "SQL is empty: write one `select`");
    assert!(with("insert into a.b select 1").starts_with("SQL begins with `insert`, not with `select`: "));
    assert!(with("'text'").starts_with("SQL begins with something else, not with `select`: "));
    let beyond = "there are `$1` and `$2`, start and end of the window as timestamptz, and `$3`, its date";
    assert_eq!(with("select $4"), format!("SQL uses the parameter `$4`: {beyond}"));
    assert_eq!(with("select $0"), format!("SQL uses the parameter `$0`: {beyond}"));
    for sound in
        ["select '$9', $$ $8 $$ -- $7", "with a as (select 1) select $1", "((select $2))", "values ($3);", "table a.b"]
    {
        assert!(build(vec![AssetSpec { sql: Some(sound.to_owned()), ..daily("gold.users") }]).is_ok(), "{sound}");
    }
    assert!(problem_of(|spec| spec.sql = None).starts_with("it is a sql asset without SQL: "));
    assert!(problem_of(|spec| spec.kind = AssetKind::Rust).starts_with("it is a rust asset without a function: "));
}

#[test]
fn parameters_depend_on_partitions() {
    let unpartitioned = problem_of(|spec| {
        spec.partitions = PartitionsDefinition::Unpartitioned;
        spec.partition_column = None;
        spec.sql = Some("select $1".to_owned());
    });
    assert_eq!(unpartitioned, "SQL uses the parameter `$1`: an unpartitioned asset has no parameters");
    let fixed = problem_of(|spec| {
        spec.upstreams.clear();
        spec.partitions = PartitionsDefinition::fixed(["europe"]).unwrap();
        spec.partition_column = Some("region".to_owned());
        spec.columns.push(column("region", "text"));
        spec.sql = Some("select $1, $2".to_owned());
    });
    assert_eq!(fixed, "SQL uses the parameter `$2`: there is only `$1`, the partition's key as text");
}

#[test]
fn range_statements() {
    let date = problem_of(|spec| spec.range_partitions = 31);
    assert!(date.starts_with("SQL uses `$3`, the date of one partition, with RANGE_PARTITIONS 31: "), "{date}");
    assert!(problem_of(|spec| spec.range_partitions = 0).starts_with("RANGE_PARTITIONS is 0: "));
    let without_time = problem_of(|spec| {
        spec.partitions = PartitionsDefinition::Unpartitioned;
        spec.partition_column = None;
        spec.sql = Some("select 1".to_owned());
        spec.range_partitions = 2;
    });
    assert!(
        without_time.starts_with("RANGE_PARTITIONS is 2, but only sql assets with time partitions"),
        "{without_time}"
    );
}

#[test]
fn policies() {
    assert!(problem_of(|spec| spec.timeout = Some(Duration::ZERO)).starts_with("TIMEOUT is zero"));
    assert!(problem_of(|spec| spec.freshness = FreshnessPolicy::hours(0)).starts_with("FRESHNESS is zero"));
    let policy = FreshnessPolicy::maximum_lag(Duration::from_secs(60)).warn_before(Duration::from_secs(61));
    assert!(problem_of(|spec| spec.freshness = Some(policy)).starts_with("FRESHNESS warns 61s before a lag of 60s"));
    let never = problem_of(|spec| spec.freshness = Some(FreshnessPolicy::deadline("0 0 31 2 *")));
    assert!(never.starts_with("FRESHNESS: `0 0 31 2 *` never fires"), "{never}");
    assert!(problem_of(|spec| spec.retry.jitter = 1.5).starts_with("RETRY has the jitter 1.5: "));
    assert!(problem_of(|spec| spec.retry.jitter = f64::NAN).starts_with("RETRY has the jitter NaN: "));
    assert!(problem_of(|spec| spec.retry.retries = 101).starts_with("RETRY has 101 retries: "));
    assert!(
        problem_of(|spec| spec.retry.delay = Duration::from_secs(301)).starts_with("RETRY has the delay 301s, above")
    );
    assert!(problem_of(|spec| spec.retry.delay_limit = Duration::MAX).starts_with("RETRY has the delay_limit "));
    assert!(
        problem_of(|spec| spec.pool = Some("other".to_owned())).ends_with("define it with `.pool(\"other\", limit)`")
    );
    assert!(problem_of(|spec| spec.tags = vec!["two words".to_owned()]).starts_with("TAGS has `two words`"));
    assert!(problem_of(|spec| spec.owner = Some(String::new())).starts_with("OWNER has ``"));
}

#[test]
fn automations() {
    let with = |automation| problem_of(|spec| spec.automation = automation);
    let malformed = with(Automation::Cron("61 * * * *"));
    assert!(malformed.starts_with("AUTOMATION: `61` cannot be the minute"), "{malformed}");
    let never = with(Automation::Any(&[Automation::Manual, Automation::All(&[Automation::Cron("0 0 31 2 *")])]));
    assert!(never.starts_with("AUTOMATION: `0 0 31 2 *` never fires"), "{never}");
    assert!(with(Automation::Any(&[])).starts_with("AUTOMATION combines no conditions"));
    let nothing_to_wait_for = problem_of(|spec| {
        spec.upstreams.clear();
        spec.automation = Automation::eager();
    });
    assert!(nothing_to_wait_for.starts_with("AUTOMATION is eager but it has no upstreams"), "{nothing_to_wait_for}");
    let without_end = problem_of(|spec| {
        spec.partitions = PartitionsDefinition::Unpartitioned;
        spec.partition_column = None;
        spec.sql = Some("select 1".to_owned());
        spec.automation = Automation::OnClose { grace: Duration::ZERO };
    });
    assert!(without_end.starts_with("AUTOMATION is on_close but its partitions have no end in time"), "{without_end}");
    let outside = problem_of(|spec| {
        *spec = AssetSpec { automation: Automation::Cron("0 3 * * *"), ..external("gold.users") };
    });
    assert!(outside.starts_with("it is external but has an AUTOMATION"), "{outside}");
    assert!(build(vec![AssetSpec { automation: Automation::Cron("15 3 * * *"), ..daily("gold.users") }]).is_ok());
}

#[test]
fn checks() {
    let with = |check| problem_of(|spec| spec.checks = vec![check]);
    assert_eq!(with(not_null("user")), "check `not_null_user`: `user` is no column: did you mean `users`?");
    assert_eq!(
        with(accepted_values("colour", &["red"])),
        "check `accepted_values_colour`: `colour` is no column: its columns are day, users, seen_at"
    );
    assert!(with(accepted_values("users", &[])).starts_with("check `accepted_values_users`: no value is accepted"));
    assert!(with(unique(&[]).named("unique")).starts_with("check `unique`: no columns to be unique"));
    assert!(with(row_count(2, Some(1))).starts_with("check `row_count`: no count is at least 2 and at most 1"));
    assert!(with(fresh("users", Duration::from_secs(1))).starts_with("check `fresh_users`: `users` is a `bigint`"));
    assert!(with(fresh("day", Duration::ZERO)).starts_with("check `fresh_day`: no row is of age zero"));
    assert!(with(no_rows("odd", "delete from a.b")).starts_with("check `odd`: begins with `delete`"));
    assert!(with(no_rows("two words", "select 1")).starts_with("`two words` is no name for a check"));
    assert!(with(no_rows("odd", "select $5")).starts_with("check `odd`: uses the parameter `$5`"));
    let twice = problem_of(|spec| spec.checks = vec![not_null("day"), not_null("day").non_blocking()]);
    assert!(twice.starts_with("two checks are named `not_null_day`"), "{twice}");
}

#[test]
fn a_check_refers_only_to_upstreams() {
    let with = |check| problem_of(|spec| spec.checks = vec![check]);
    let elsewhere = with(references("users", key("gold.other"), "users"));
    assert!(
        elsewhere.starts_with("check `references_users`: `gold.other` is not among the upstreams: "),
        "{elsewhere}"
    );
    let mistyped = with(references("users", key("bronze.event"), "users"));
    assert!(mistyped.contains("did you mean `bronze.events`?"), "{mistyped}");
    let column = with(references("users", key("bronze.events"), "user"));
    assert_eq!(column, "check `references_users`: `user` is no column of `bronze.events`: did you mean `users`?");
    let sound = AssetSpec {
        checks: vec![references("users", key("bronze.events"), "users")],
        ..reading("gold.users", &["bronze.events"])
    };
    assert!(build(vec![external("bronze.events"), sound]).is_ok());
}

#[test]
fn a_pool_without_room_is_refused() {
    let pools = PoolLimits::from([("closed".to_owned(), 0)]);
    let errors = Definitions::from_specs(calendar(), vec![daily("gold.users")], pools).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the definitions

definitions
  * pool `closed` has the limit 0: nothing in it would ever run
    give it a limit of at least 1"
    );
}

#[test]
fn rust_assets_are_taken_with_their_function() {
    struct Nothing;
    impl Compute for Nothing {
        fn compute(&self, _: ComputeContext) -> BoxFuture<'_, Result<(), AssetError>> {
            Box::pin(async { Ok(()) })
        }
    }
    let rust = AssetSpec { kind: AssetKind::Rust, sql: None, compute: Some(Arc::new(Nothing)), ..daily("gold.users") };
    assert!(build(vec![rust]).is_ok());
}

#[test]
fn assets_are_found_by_key_and_by_unambiguous_table() {
    let definitions = build(vec![daily("gold.users"), daily("silver.users"), daily("gold.sessions")]).unwrap();
    assert_eq!(definitions.find("gold.users").unwrap().key, key("gold.users"));
    assert_eq!(definitions.find(" sessions ").unwrap().key, key("gold.sessions"));
    let ambiguous = definitions.find("users").unwrap_err();
    assert_eq!(ambiguous.to_string(), "`users` can be any of gold.users, silver.users: write the whole key");
    let mistyped = definitions.find("gold.sesions").unwrap_err();
    assert_eq!(mistyped.to_string(), "there is no asset `gold.sesions`: did you mean `gold.sessions`?");
    assert_eq!(mistyped.nearest, Some(key("gold.sessions")));
    assert_eq!(definitions.find("\u{7}").unwrap_err().to_string(), "there is no asset `\\u{7}`: `ls` lists all assets");
}

#[test]
fn validation_takes_time_linear_in_the_number_of_assets() {
    let specs = |count: usize| {
        let assets = (0..count).map(|number| {
            let earlier: Vec<String> = [1, 7, 50]
                .iter()
                .filter_map(|back| number.checked_sub(*back))
                .map(|number| format!("a.n{number}"))
                .collect();
            let earlier: Vec<&str> = earlier.iter().map(String::as_str).collect();
            reading(&format!("a.n{number}"), &earlier)
        });
        assets.collect::<Vec<_>>()
    };
    let measure = |count| {
        let specs = specs(count);
        let start = Instant::now();
        build(specs).unwrap();
        start.elapsed()
    };
    let (few, many) = (measure(300), measure(3_000));
    assert!(many < few * 50, "300 assets: {few:?}, 3,000 assets: {many:?}");
}

#[test]
fn of_many_problems_only_the_first_carry_suggestions() {
    let specs = (0..500).map(|number| reading(&format!("a.n{number}"), &["a.n1000"])).collect();
    let errors = build(specs).unwrap_err();
    assert_eq!(errors.errors.len(), 500);
    let suggestions = errors.errors.iter().filter(|error| error.remedy.contains("did you mean")).count();
    assert_eq!(suggestions, 20);
}
