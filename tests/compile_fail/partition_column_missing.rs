//! Daily partitions, but nothing says which day a row belongs to.
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
    type Upstream = ();
}

fn main() {}
