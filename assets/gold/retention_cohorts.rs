//! Who comes back.

use karat::prelude::*;

use crate::silver::UserActivity;

table! {
    /// Of the people first active in one month, how many were active in another; partitions are the observed months.
    ///
    /// The row with `months_since` 0 is the size of the cohort.
    pub struct RetentionCohorts {
        /// The first day of the observed month.
        pub month: NaiveDate,
        /// The first day of the month in which these people were active for the first time.
        pub cohort_month: NaiveDate,
        /// From the one to the other.
        pub months_since: i32,
        /// How many of them were active in the observed month.
        pub users: i64,
    }
}

impl Asset for RetentionCohorts {
    const KEY: AssetKey = AssetKey::new("gold.retention_cohorts");
    type Partitions = Monthly;
    const PARTITION_COLUMN: &'static str = "month";
    type Upstream = (Mapped<UserActivity, History>,);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["kpi"];

    fn checks() -> Vec<AssetCheck> {
        vec![
            unique(&["month", "cohort_month"]),
            no_rows(
                "cohorts_come_first",
                "select * from gold.retention_cohorts
                 where (months_since < 0 or users < 1)
                    and month >= $1::timestamptz::date and month < $2::timestamptz::date",
            ),
        ]
    }
}

impl SqlAsset for RetentionCohorts {
    const SQL: &'static str = include_str!("retention_cohorts.sql");
    const RANGE_PARTITIONS: u32 = 120;
}
