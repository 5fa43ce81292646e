//! An upstream that is a type, but not an asset.
use karat::prelude::*;

pub struct NotAnAsset;

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
    type Upstream = (NotAnAsset,);
}

fn main() {}
