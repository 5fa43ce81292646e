//! An asset that reads itself.
use karat::prelude::*;

table! {
    pub struct Narcissus {
        pub day: NaiveDate,
    }
}
impl Asset for Narcissus {
    const KEY: AssetKey = AssetKey::new("gold.narcissus");
    type Partitions = Daily;
    const PARTITION_COLUMN: &'static str = "day";
    type Upstream = (Narcissus,);
}

fn main() {}
