//! A day does not consist of whole months: which days of the report a day reads must be said.
use karat::prelude::*;

table! {
    pub struct MonthlyReport {
        pub month: NaiveDate,
    }
}
impl Asset for MonthlyReport {
    const KEY: AssetKey = AssetKey::new("gold.monthly_report");
    type Partitions = Monthly;
    const PARTITION_COLUMN: &'static str = "month";
    type Upstream = ();
}

table! {
    pub struct ActiveUsers {
        pub day: NaiveDate,
        pub users: i64,
    }
}
impl Asset for ActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (MonthlyReport,);
}

fn main() {}
