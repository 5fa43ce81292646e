//! Three assets that read each other, and one that reads them.
use karat::prelude::*;

table! {
    pub struct Sessions {
        pub day: NaiveDate,
    }
}
impl Asset for Sessions {
    const KEY: AssetKey = AssetKey::new("silver.sessions");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Reports,);
}

table! {
    pub struct Activity {
        pub day: NaiveDate,
    }
}
impl Asset for Activity {
    const KEY: AssetKey = AssetKey::new("silver.activity");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Sessions,);
}

table! {
    pub struct Reports {
        pub day: NaiveDate,
    }
}
impl Asset for Reports {
    const KEY: AssetKey = AssetKey::new("gold.reports");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Activity,);
}

table! {
    pub struct Bystander {
        pub day: NaiveDate,
    }
}
impl Asset for Bystander {
    const KEY: AssetKey = AssetKey::new("gold.bystander");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Reports,);
}

fn main() {}
