//! Answers: the figures a community looks at.

mod daily_active_users;
mod retention_cohorts;

pub use daily_active_users::DailyActiveUsers;
pub use retention_cohorts::RetentionCohorts;
