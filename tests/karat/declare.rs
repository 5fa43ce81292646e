//! Declarations as plain data: what the traits and `table!` are lowered to.

use std::sync::Arc;

use chrono_tz::Tz;
use karat::asset::spec::{AssetKind, AssetSpec, ColumnSpec, UpstreamSpec};
use karat::asset::table::{Table, paragraphs};
use karat::core::mapping::PartitionMapping;
use karat::core::policy::WriteMode;
use karat::prelude::*;

table! {
    /// What a person did
    /// on a day.
    ///
    /// One row each.
    #[allow(dead_code)]
    pub struct UserActivity {
        /// The local day.
        pub day: NaiveDate,
        pub person: i64,
        /// Missing when
        /// nothing was said.
        messages: Option<i64>,
        pub(crate) r#type: String,
    }
}

impl Asset for UserActivity {
    const KEY: AssetKey = AssetKey::new("silver.user_activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["day", "person"];
}

impl ExternalAsset for UserActivity {}

table! {
    /// Distinct people active per local calendar day.
    pub struct DailyActiveUsers {
        pub day: NaiveDate,
        /// People seen on at least one surface.
        pub users: i64,
        pub voice_users: i64,
        pub chat_users: i64,
        pub game_users: i64,
    }
}

impl Asset for DailyActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.daily_active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (UserActivity,);
    const AUTOMATION: Automation = Automation::eager(); // rebuild when inputs change
    const FRESHNESS: Option<FreshnessPolicy> = FreshnessPolicy::hours(30);
    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["day"]), not_null("users")]
    }
}

impl SqlAsset for DailyActiveUsers {
    const SQL: &'static str = "select day, users from silver.user_activity where day >= $1 and day < $2";
    const RANGE_PARTITIONS: u32 = 31;
}

struct Regions;

impl StaticKeys for Regions {
    const KEYS: &'static [&'static str] = &["europe", "america"];
}

table! {
    struct RegionReport {
        region: String,
        peak: f64,
    }
}

impl Asset for RegionReport {
    const KEY: AssetKey = AssetKey::new("gold.region_report");
    type Partitions = Static<Regions>;
    const PARTITION_COLUMN: &'static str = "region";
    type Upstream = (Mapped<DailyActiveUsers, All>, Mapped<UserActivity, Latest>);
    const RETRY: RetryPolicy = RetryPolicy::NONE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));
    const POOL: Option<&'static str> = Some("heavy");
    const PRIORITY: i32 = -3;
    const TAGS: &'static [&'static str] = &["report", "weekly"];
    const OWNER: Option<&'static str> = Some("data@example.org");
}

impl RustAsset for RegionReport {
    const VERSION: u32 = 7;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        context.push(Self { region: context.partition().to_string(), peak: 1.5 }).await
    }
}

table! {
    /// Counted in hours of UTC, whatever the community's zone.
    struct Trend {
        week: NaiveDate,
    }
}

impl Asset for Trend {
    const KEY: AssetKey = AssetKey::new("gold.trend");
    type Partitions = Weekly;
    const PARTITION_COLUMN: &'static str = "week";
    type Upstream =
        (Mapped<DailyActiveUsers, Window<-27, 0>>, Mapped<UserActivity, History>, Mapped<RegionReport, All>);

    fn partitions(calendar: &Calendar) -> Result<PartitionsDefinition, PartitionError> {
        PartitionsDefinition::time(Cadence::Weekly, Tz::UTC, calendar.first_day, None)
    }
}

impl SqlAsset for Trend {
    const SQL: &'static str = "select 1";
}

fn calendar() -> Calendar {
    Calendar { zone: Tz::Europe__Berlin, first_day: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() }
}

fn definitions() -> Definitions {
    Definitions::builder(calendar())
        .sql::<DailyActiveUsers>()
        .external::<UserActivity>()
        .rust::<RegionReport>()
        .sql::<Trend>()
        .pool("heavy", 1)
        .build()
        .unwrap()
}

fn spec(name: &str) -> Arc<AssetSpec> {
    definitions().find(name).unwrap().clone()
}

#[test]
fn a_row_struct_becomes_columns_with_descriptions() {
    let activity = spec("user_activity");
    assert_eq!(activity.description, "What a person did on a day.\n\nOne row each.");
    assert_eq!(activity.type_name, "UserActivity");
    assert_eq!(activity.source_file, "tests/karat/declare.rs");
    let column = |name: &str, sql_type, nullable, description: &str| ColumnSpec {
        name: name.to_owned(),
        sql_type,
        nullable,
        description: description.to_owned(),
    };
    let expected = [
        column("day", "date", false, "The local day."),
        column("person", "bigint", false, ""),
        column("messages", "bigint", true, "Missing when nothing was said."),
        column("type", "text", false, ""),
    ];
    assert_eq!(activity.columns, expected);
}

#[test]
fn what_is_not_declared_has_defaults() {
    let activity = spec("silver.user_activity");
    assert_eq!(activity.kind, AssetKind::External);
    assert!(!activity.is_materializable());
    assert_eq!(activity.automation, Automation::Manual);
    assert_eq!(activity.freshness, None);
    assert_eq!(activity.retry, RetryPolicy::DEFAULT);
    assert_eq!((activity.timeout, activity.pool.clone(), activity.owner.clone()), (None, None, None));
    assert_eq!((activity.priority, activity.range_partitions), (0, 1));
    assert!(activity.tags.is_empty() && activity.checks.is_empty() && activity.upstreams.is_empty());
    let daily = PartitionsDefinition::time(Cadence::Daily, calendar().zone, calendar().first_day, None).unwrap();
    assert_eq!(activity.partitions, daily);
    assert_eq!(activity.partition_column.as_deref(), Some("day"));
    assert_eq!(spec("daily_active_users").write_mode, WriteMode::ReplacePartition);
}

#[test]
fn a_natural_key_appends() {
    let natural_key = vec!["day".to_owned(), "person".to_owned()];
    assert_eq!(spec("user_activity").write_mode, WriteMode::Append { natural_key });
}

#[test]
fn a_sql_asset_has_its_statement_and_policies() {
    let users = spec("daily_active_users");
    assert_eq!(users.kind, AssetKind::Sql);
    assert_eq!(users.sql.as_deref(), Some(DailyActiveUsers::SQL));
    assert!(users.compute.is_none());
    assert_eq!(users.range_partitions, 31);
    assert_eq!(users.automation, Automation::eager());
    assert_eq!(users.freshness, FreshnessPolicy::hours(30));
    assert_eq!(users.checks, [unique(&["day"]), not_null("users")]);
    assert_eq!(users.code_version.len(), 16);
}

#[test]
fn a_rust_asset_has_its_function_and_policies() {
    let report = spec("region_report");
    assert_eq!(report.kind, AssetKind::Rust);
    assert!(report.compute.is_some() && report.sql.is_none());
    assert_eq!(report.compute_version, 7);
    assert_eq!(report.retry, RetryPolicy::NONE);
    assert_eq!(report.timeout, Some(Duration::from_secs(60)));
    assert_eq!(report.pool.as_deref(), Some("heavy"));
    assert_eq!(report.priority, -3);
    assert_eq!(report.tags, ["report", "weekly"]);
    assert_eq!(report.owner.as_deref(), Some("data@example.org"));
    assert_eq!(report.partitions, PartitionsDefinition::fixed(["europe", "america"]).unwrap());
}

#[test]
fn mappings_are_what_the_types_say() {
    let upstream = |key: &'static str, mapping| UpstreamSpec { key: AssetKey::new(key), mapping };
    assert_eq!(spec("daily_active_users").upstreams, [upstream("silver.user_activity", PartitionMapping::Overlap)]);
    assert_eq!(
        spec("region_report").upstreams,
        [
            upstream("gold.daily_active_users", PartitionMapping::All),
            upstream("silver.user_activity", PartitionMapping::Latest),
        ]
    );
    assert_eq!(
        spec("trend").upstreams,
        [
            upstream("gold.daily_active_users", PartitionMapping::Window { start: -27, end: 0 }),
            upstream("silver.user_activity", PartitionMapping::Window { start: i64::MIN, end: 0 }),
            upstream("gold.region_report", PartitionMapping::All),
        ]
    );
}

#[test]
fn partitions_can_be_given_by_the_asset() {
    assert_eq!(spec("trend").partitions.zone(), Some(Tz::UTC));
    assert_eq!(spec("user_activity").partitions.zone(), Some(Tz::Europe__Berlin));
}

table! {
    struct Contradiction {
        day: NaiveDate,
    }
}

impl Asset for Contradiction {
    const KEY: AssetKey = AssetKey::new("gold.contradiction");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();

    fn partitions(calendar: &Calendar) -> Result<PartitionsDefinition, PartitionError> {
        PartitionsDefinition::time(Cadence::Monthly, calendar.zone, calendar.first_day, None)
    }
}

impl ExternalAsset for Contradiction {}

struct TwiceTheSame;

impl StaticKeys for TwiceTheSame {
    const KEYS: &'static [&'static str] = &["same", "same"];
}

table! {
    struct Repetition {
        key: String,
    }
}

impl Asset for Repetition {
    const KEY: AssetKey = AssetKey::new("gold.repetition");
    type Partitions = Static<TwiceTheSame>;
    const PARTITION_COLUMN: &'static str = "key";
    type Upstream = ();
}

impl ExternalAsset for Repetition {}

#[test]
fn partitions_that_cannot_be_are_reported_with_everything_else() {
    let errors = Definitions::builder(calendar())
        .external::<Contradiction>()
        .external::<Repetition>()
        .pool("heavy", 1)
        .pool("heavy", 2)
        .build()
        .unwrap_err();
    let text = errors.to_string();
    assert_eq!(errors.errors.len(), 3, "{text}");
    assert!(text.contains("`fn partitions` gives monthly partitions, unlike `type Partitions`"), "{text}");
    assert!(text.contains("gold.repetition (tests/karat/declare.rs)"), "{text}");
    assert!(text.contains("pool `heavy` is defined twice"), "{text}");
}

#[test]
fn every_column_type_has_the_name_that_postgresql_prints() {
    table! {
        struct Everything {
            a: bool,
            b: i16,
            c: i32,
            d: i64,
            e: f32,
            f: f64,
            g: String,
            h: Vec<u8>,
            i: NaiveDate,
            j: NaiveTime,
            k: NaiveDateTime,
            l: DateTime<Utc>,
            m: Uuid,
            n: Json,
            o: Vec<String>,
            p: Option<Vec<DateTime<Utc>>>,
        }
    }
    impl Asset for Everything {
        const KEY: AssetKey = AssetKey::new("gold.everything");
        type Partitions = Unpartitioned;
        type Upstream = ();
    }

    let types: Vec<(&str, bool)> =
        Everything::COLUMNS.iter().map(|column| (column.sql_type, column.nullable)).collect();
    let not_null = [
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "text",
        "bytea",
        "date",
        "time without time zone",
        "timestamp without time zone",
        "timestamp with time zone",
        "uuid",
        "jsonb",
        "text[]",
    ];
    let expected: Vec<(&str, bool)> =
        not_null.iter().map(|&name| (name, false)).chain([("timestamp with time zone[]", true)]).collect();
    assert_eq!(types, expected);
}

#[test]
fn doc_comments_become_paragraphs() {
    assert_eq!(paragraphs(""), "");
    assert_eq!(paragraphs("\n\n"), "");
    assert_eq!(paragraphs(" One line.\n"), "One line.");
    assert_eq!(paragraphs("\n One\n line.\n\n\n Another.\n\n"), "One line.\n\nAnother.");
}
