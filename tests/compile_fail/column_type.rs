//! PostgreSQL has no unsigned integers.
use karat::prelude::*;

table! {
    pub struct ActiveUsers {
        pub day: NaiveDate,
        pub users: u64,
    }
}
impl Asset for ActiveUsers {
    const KEY: AssetKey = AssetKey::new("gold.active_users");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = ();
}

fn main() {}
