//! As received: events from outside, one row each, without anything that people wrote.

mod chat_messages;
mod discord_connection;
mod discord_members;
mod discord_messages;
mod discord_voice_states;
mod game_log_events;
mod identity_links;

pub use chat_messages::ChatMessages;
pub use discord_connection::DiscordConnection;
pub use discord_members::DiscordMembers;
pub use discord_messages::DiscordMessages;
pub use discord_voice_states::DiscordVoiceStates;
pub use game_log_events::GameLogEvents;
pub use identity_links::IdentityLinks;
