//! A window that ends before it begins.
use karat::prelude::*;

table! {
    pub struct Activity {
        pub day: NaiveDate,
    }
}
impl Asset for Activity {
    const KEY: AssetKey = AssetKey::new("silver.activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
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
    type Upstream = (Mapped<Activity, Window<1, 0>>,);
}

fn main() {}
