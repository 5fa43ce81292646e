//! A NATURAL_KEY with a typing error.
use karat::prelude::*;

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
    type Upstream = ();
    const NATURAL_KEY: &'static [&'static str] = &["day", "user"];
}

fn main() {}
