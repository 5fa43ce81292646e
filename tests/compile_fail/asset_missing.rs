//! A row struct without an asset.
use karat::prelude::*;

table! {
    pub struct ActiveUsers {
        pub day: NaiveDate,
    }
}

fn main() {}
