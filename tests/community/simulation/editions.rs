//! The platform as it changes over two years: three changes of code, and an asset that is given up.

use community::bronze::{
    ChatMessages, DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates, GameLogEvents, IdentityLinks,
};
use community::gold::{DailyActiveUsers, RetentionCohorts};
use community::silver::{AccountLinks, DimUser, FactGameSessions, FactVoiceSessions, UserActivity};
use karat::prelude::*;

use super::world::ZONE;

/// The platform's definitions at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edition {
    /// As they are.
    First,
    /// Cohorts by another statement that says the same.
    CohortsReworded,
    /// Daily users are counted differently.
    UsersRecounted,
    /// And there are no people any more.
    PeopleGivenUp,
    /// Daily users as they were; activity by another statement that says the same.
    Last,
}

pub(super) fn definitions(edition: Edition, first_day: NaiveDate) -> Definitions {
    let builder = Definitions::builder(Calendar { zone: ZONE, first_day })
        .external::<DiscordVoiceStates>()
        .external::<DiscordMessages>()
        .external::<DiscordMembers>()
        .external::<DiscordConnection>()
        .external::<GameLogEvents>()
        .external::<ChatMessages>()
        .external::<IdentityLinks>()
        .rust::<AccountLinks>()
        .sql::<FactVoiceSessions>()
        .sql::<FactGameSessions>()
        .schedule(Schedule::new("nightly", "15 3 * * *").catch_up(CatchUp::Last));
    let builder = match edition {
        Edition::Last => builder.sql::<reworded::UserActivity>(),
        _ => builder.sql::<UserActivity>(),
    };
    let builder = match edition {
        Edition::UsersRecounted | Edition::PeopleGivenUp => builder.sql::<recounted::DailyActiveUsers>(),
        _ => builder.sql::<DailyActiveUsers>(),
    };
    let builder = match edition {
        Edition::First => builder.sql::<RetentionCohorts>(),
        _ => builder.sql::<reworded::RetentionCohorts>(),
    };
    let builder = if edition < Edition::PeopleGivenUp { builder.sql::<DimUser>() } else { builder };
    builder.build().unwrap()
}

/// The same rows by statements with another text.
mod reworded {
    use super::*;

    table! {
        /// As the platform's.
        pub struct UserActivity {
            pub person_id: String,
            pub day: NaiveDate,
            pub messages: i64,
            pub characters: i64,
            pub voice_seconds: i64,
            pub game_seconds: i64,
        }
    }

    impl Asset for UserActivity {
        const KEY: AssetKey = super::UserActivity::KEY;
        type Partitions = Daily;
        const PARTITION_COLUMN: &'static str = "day";
        type Upstream = (DiscordMessages, ChatMessages, FactVoiceSessions, FactGameSessions, AccountLinks);
        const AUTOMATION: Automation = super::UserActivity::AUTOMATION;
    }

    impl SqlAsset for UserActivity {
        const SQL: &'static str =
            concat!("select * from (", include_str!("../../../assets/silver/user_activity.sql"), ") as activity");
        const RANGE_PARTITIONS: u32 = super::UserActivity::RANGE_PARTITIONS;
    }

    table! {
        /// As the platform's.
        pub struct RetentionCohorts {
            pub month: NaiveDate,
            pub cohort_month: NaiveDate,
            pub months_since: i32,
            pub users: i64,
        }
    }

    impl Asset for RetentionCohorts {
        const KEY: AssetKey = super::RetentionCohorts::KEY;
        type Partitions = Monthly;
        const PARTITION_COLUMN: &'static str = "month";
        type Upstream = (Mapped<super::UserActivity, History>,);
        const AUTOMATION: Automation = super::RetentionCohorts::AUTOMATION;
    }

    impl SqlAsset for RetentionCohorts {
        const SQL: &'static str =
            concat!("select * from (", include_str!("../../../assets/gold/retention_cohorts.sql"), ") as cohorts");
        const RANGE_PARTITIONS: u32 = super::RetentionCohorts::RANGE_PARTITIONS;
    }
}

/// Other rows.
mod recounted {
    use super::*;

    table! {
        /// Only who wrote or talked.
        pub struct DailyActiveUsers {
            pub day: NaiveDate,
            pub users: i64,
            pub voice_users: i64,
            pub chat_users: i64,
            pub game_users: i64,
        }
    }

    impl Asset for DailyActiveUsers {
        const KEY: AssetKey = super::DailyActiveUsers::KEY;
        type Partitions = Daily;
        const PARTITION_COLUMN: &'static str = "day";
        type Upstream = (UserActivity,);
        const AUTOMATION: Automation = super::DailyActiveUsers::AUTOMATION;
    }

    impl SqlAsset for DailyActiveUsers {
        const SQL: &'static str = "
            select
                day,
                count(*) filter (where voice_seconds > 0 or messages > 0) as users,
                count(*) filter (where voice_seconds > 0) as voice_users,
                count(*) filter (where messages > 0) as chat_users,
                count(*) filter (where game_seconds > 0) as game_users
            from silver.user_activity
            where day >= $1::timestamptz::date and day < $2::timestamptz::date
            group by day";
        const RANGE_PARTITIONS: u32 = super::DailyActiveUsers::RANGE_PARTITIONS;
    }
}
