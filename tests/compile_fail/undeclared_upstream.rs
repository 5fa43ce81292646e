//! Reading an asset that is not declared upstream.
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
    type Upstream = (Activity,);
}
impl RustAsset for ActiveUsers {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let people = Members::read(context).collect().await?.len();
        context.push(Self { day: context.date(), users: people as i64 }).await
    }
}

fn main() {}
