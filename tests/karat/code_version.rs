//! What makes an asset count as changed, and what does not.

use chrono::NaiveDate;
use chrono_tz::Tz;
use karat::asset::code_version::code_version;
use karat::asset::spec::{AssetSpec, ColumnSpec, UpstreamSpec};
use karat::core::mapping::PartitionMapping;
use karat::core::partition::{Cadence, PartitionsDefinition};
use karat::core::policy::{Automation, RetryPolicy, WriteMode, not_null};
use karat::prelude::*;
use proptest::prelude::*;

table! {
    struct Users {
        day: NaiveDate,
        users: i64,
    }
}

impl Asset for Users {
    const KEY: AssetKey = AssetKey::new("gold.users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

impl SqlAsset for Users {
    const SQL: &'static str = "select day, count(*) as users from silver.activity where kind = 'Chat' group by day";
}

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

fn users() -> AssetSpec {
    let calendar = Calendar { zone: Tz::Europe__Berlin, first_day: date(2026, 1, 1) };
    let definitions = Definitions::builder(calendar).sql::<Users>().build().unwrap();
    let spec = definitions.find("gold.users").unwrap();
    assert_eq!(spec.code_version, code_version(spec));
    AssetSpec::clone(spec)
}

fn with_sql(sql: &str) -> String {
    code_version(&AssetSpec { sql: Some(sql.to_owned()), ..users() })
}

fn version_after(change: impl FnOnce(&mut AssetSpec)) -> String {
    let mut spec = users();
    change(&mut spec);
    code_version(&spec)
}

#[test]
fn it_is_sixteen_digits_and_always_the_same() {
    let version = users().code_version;
    assert!(version.len() == 16 && version.chars().all(|digit| digit.is_ascii_hexdigit()), "{version}");
    // Stored versions must survive a new build of this library.
    assert_eq!(version, PINNED);
}

const PINNED: &str = "1a6617f8c326d203";

#[test]
fn how_the_statement_is_written_does_not_count() {
    let version = with_sql(Users::SQL);
    for same in [
        "SELECT day,\n\tcount( * ) AS Users FROM Silver.Activity WHERE kind='Chat' GROUP BY day;",
        "-- people\nselect day, count(*) as users /* all /* of */ them */ from silver.activity\nwhere kind = 'Chat' -- $9\ngroup by day\n;;",
    ] {
        assert_eq!(with_sql(same), version, "{same}");
    }
}

#[test]
fn what_the_statement_says_counts() {
    let version = with_sql(Users::SQL);
    for other in [
        "select day, count(*) as users from silver.activity where kind = 'chat' group by day",
        "select day, count(*) as users from silver.activity where kind = 'Chat ' group by day",
        "select day, count(*) as users from silver.activity where kind = 'Chat' group by \"Day\"",
        "select day, count(*) as users from silver.activity where kind = 'Chat' -- group by day",
        "select day, count(*) as users from silver.activity where kind = '-- Chat' group by day",
    ] {
        assert_ne!(with_sql(other), version, "{other}");
    }
    assert_ne!(with_sql("select '/* a */'"), with_sql("select '/* b */'"), "text like a comment");
    assert_ne!(with_sql("select $$-- a$$"), with_sql("select $$-- b$$"), "dollar quotes");
    assert_ne!(with_sql("select \"A\""), with_sql("select \"a\""), "case in quotes");
    assert_ne!(with_sql("select a b"), with_sql("select ab"), "white space between words");
}

#[test]
fn everything_that_decides_the_rows_counts() {
    let upstream = |key: &'static str, mapping| UpstreamSpec { key: AssetKey::new(key), mapping };
    let column = |name: &str, sql_type, nullable| ColumnSpec {
        name: name.to_owned(),
        sql_type,
        nullable,
        description: String::new(),
    };
    let time = |cadence, zone| PartitionsDefinition::time(cadence, zone, date(2026, 1, 1), None).unwrap();
    let append =
        |columns: &[&str]| WriteMode::Append { natural_key: columns.iter().map(|&name| name.to_owned()).collect() };
    let versions = [
        users().code_version,
        version_after(|spec| spec.key = AssetKey::new("gold.people")),
        version_after(|spec| spec.columns.reverse()),
        version_after(|spec| spec.columns[1] = column("people", "bigint", false)),
        version_after(|spec| spec.columns[1] = column("users", "integer", false)),
        version_after(|spec| spec.columns[1] = column("users", "bigint", true)),
        version_after(|spec| spec.columns.truncate(1)),
        version_after(|spec| spec.upstreams = vec![upstream("a.b", PartitionMapping::Overlap)]),
        version_after(|spec| spec.upstreams = vec![upstream("a.b", PartitionMapping::All)]),
        version_after(|spec| spec.upstreams = vec![upstream("a.b", PartitionMapping::Latest)]),
        version_after(|spec| spec.upstreams = vec![upstream("a.b", PartitionMapping::Window { start: -1, end: 0 })]),
        version_after(|spec| spec.upstreams = vec![upstream("a.b", PartitionMapping::Window { start: -1, end: -1 })]),
        version_after(|spec| spec.partitions = time(Cadence::Monthly, Tz::Europe__Berlin)),
        version_after(|spec| spec.partitions = time(Cadence::Daily, Tz::UTC)),
        version_after(|spec| spec.partition_column = Some("users".to_owned())),
        version_after(|spec| spec.write_mode = append(&["day"])),
        version_after(|spec| spec.write_mode = append(&["day", "users"])),
    ];
    for (index, version) in versions.iter().enumerate() {
        assert!(!versions[..index].contains(version), "number {index} is not told from an earlier one");
    }
}

#[test]
fn the_version_and_type_of_a_function_count() {
    let function = |version, type_name| {
        version_after(|spec| {
            spec.sql = None;
            spec.compute = Some(std::sync::Arc::new(Nothing));
            spec.compute_version = version;
            spec.type_name = type_name;
        })
    };
    assert_eq!(function(1, "Users"), function(1, "Users"));
    assert_ne!(function(1, "Users"), function(2, "Users"));
    assert_ne!(function(1, "Users"), function(1, "People"));
    assert_eq!(users().code_version, version_after(|spec| spec.type_name = "People"), "of a sql asset it does not");
}

struct Nothing;

impl karat::asset::spec::Compute for Nothing {
    fn compute(
        &self,
        _: karat::asset::compute::ComputeContext,
    ) -> futures_util::future::BoxFuture<'_, Result<(), AssetError>> {
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn when_it_runs_and_what_is_said_about_it_does_not_count() {
    let version = users().code_version;
    let changed = version_after(|spec| {
        spec.description = "Other words.".to_owned();
        spec.columns[0].description = "The day.".to_owned();
        spec.owner = Some("somebody".to_owned());
        spec.tags = vec!["daily".to_owned()];
        spec.checks = vec![not_null("day")];
        spec.automation = Automation::Cron("@daily");
        spec.freshness = FreshnessPolicy::hours(1);
        spec.retry = RetryPolicy::NONE;
        spec.timeout = Some(Duration::from_secs(1));
        spec.pool = Some("heavy".to_owned());
        spec.priority = 5;
        spec.range_partitions = 31;
        spec.source_file = "elsewhere.rs";
    });
    assert_eq!(changed, version);
    let later_start = version_after(|spec| {
        spec.partitions =
            PartitionsDefinition::time(Cadence::Daily, Tz::Europe__Berlin, date(2020, 5, 5), Some(date(2030, 1, 1)))
                .unwrap();
    });
    assert_eq!(later_start, version, "where the partitions start and end");
}

#[test]
fn the_order_of_upstreams_does_not_count() {
    let upstreams: Vec<UpstreamSpec> = ["a.b", "a.c", "b.a"]
        .iter()
        .map(|key| UpstreamSpec { key: key.parse().unwrap(), mapping: PartitionMapping::Overlap })
        .collect();
    let forwards = version_after(|spec| spec.upstreams.clone_from(&upstreams));
    let backwards = version_after(|spec| spec.upstreams = upstreams.iter().rev().cloned().collect());
    assert_eq!(forwards, backwards);
}

proptest! {
    #[test]
    fn white_space_and_comments_between_words_never_count(
        gaps in proptest::collection::vec("( |\n|\t| -- it's \\$1\n| /\\* 'a /\\* b \\*/ \\*/ ){1,3}", 12),
    ) {
        let words = ["select", "day", ",", "'it''s -- /* ' ", "as", "kind", "from", "silver.activity", "where", "a", "<=", "$1"];
        let plain = words.join(" ");
        let spaced: String = words.iter().zip(&gaps).map(|(word, gap)| format!("{word}{gap}")).collect();
        prop_assert_eq!(with_sql(&plain), with_sql(&spaced));
    }

    #[test]
    fn the_text_of_a_string_always_counts(left in "[a-zA-Z' \\-/*\n$]{0,12}", right in "[a-zA-Z' \\-/*\n$]{0,12}") {
        let sql = |text: &str| format!("select '{}' as kind", text.replace('\'', "''"));
        prop_assert_eq!(with_sql(&sql(&left)) == with_sql(&sql(&right)), left == right);
    }
}
