//! A date cannot tell hours apart.
use karat::prelude::*;

table! {
    pub struct ActiveUsers {
        pub day: NaiveDate,
        pub users: i64,
    }
}
impl Asset for ActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.active_users");
    type Partitions = Hourly;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

fn main() {}
