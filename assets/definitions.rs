//! The table of contents: every asset, dashboard and schedule of the platform.

use karat::prelude::*;

use crate::bronze::{
    ChatMessages, DiscordConnection, DiscordMembers, DiscordMessages, DiscordVoiceStates, GameLogEvents, IdentityLinks,
};
use crate::dashboards::dashboards;
use crate::gold::{DailyActiveUsers, RetentionCohorts, RollingActiveUsers};
use crate::silver::{AccountLinks, DimUser, FactGameSessions, FactVoiceSessions, UserActivity};

/// The platform's assets, dashboards and schedules with the days of that calendar.
///
/// # Errors
/// Everything that is wrong with them, at once.
pub fn definitions(calendar: Calendar) -> Result<Definitions, DefinitionErrors> {
    let builder = Definitions::builder(calendar)
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
        .sql::<UserActivity>()
        .sql::<DimUser>()
        .sql::<DailyActiveUsers>()
        .sql::<RollingActiveUsers>()
        .sql::<RetentionCohorts>()
        .schedule(
            Schedule::new("nightly", "15 3 * * *")
                .catch_up(CatchUp::Last)
                .description("Yesterday, and last month when it is over, whatever automation has left undone"),
        );
    dashboards().into_iter().fold(builder, DefinitionsBuilder::dashboard).build()
}

/// The platform's tables, as migrations beside Karat's own.
#[must_use]
pub fn migrations() -> karat::store::migrate::Migrations {
    karat::store::migrate::Migrations::with_application("community", sqlx::migrate!("../migrations/community"))
}
