//! There is no window over something without time.
use karat::prelude::*;

table! {
    pub struct Members {
        pub person: i64,
    }
}
impl Asset for Members {
    const KEY: AssetKey = AssetKey::new("silver.members");
    type Partitions = Unpartitioned;
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
    type Upstream = (Mapped<Members, Window<-6, 0>>,);
}

fn main() {}
