//! Cleaned and joined: people, sessions, activity.

pub mod account_links;
mod dim_user;
mod fact_game_sessions;
mod fact_voice_sessions;
mod user_activity;

pub use account_links::AccountLinks;
pub use dim_user::DimUser;
pub use fact_game_sessions::FactGameSessions;
pub use fact_voice_sessions::FactVoiceSessions;
pub use user_activity::UserActivity;
