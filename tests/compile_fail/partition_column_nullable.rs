//! A row without a day belongs to no partition.
use karat::prelude::*;

table! {
    pub struct ActiveUsers {
        pub day: Option<NaiveDate>,
    }
}
impl Asset for ActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

fn main() {}
