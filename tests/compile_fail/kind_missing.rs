//! Registered as a sql asset, but there is no SQL.
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
}

pub fn definitions(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    Definitions::builder(calendar).sql::<ActiveUsers>().build()
}

fn main() {}
