//! Answers: the figures a community looks at.

mod daily_active_users;
mod retention_cohorts;
mod rolling_active_users;

pub use daily_active_users::DailyActiveUsers;
pub use retention_cohorts::RetentionCohorts;
pub use rolling_active_users::RollingActiveUsers;
