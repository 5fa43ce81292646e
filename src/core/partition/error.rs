//! What can be wrong with partitions, as sentences for the person who typed them.

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::core::key::{KeyError, PartitionKey};

/// Why a definition of partitions, a key or a selection cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// The text has the shape of no key of this definition.
    #[error("`{text}` is no key of {what}: {expected}")]
    Malformed {
        /// What was given.
        text: String,
        /// The kind of partitions, e.g. `daily partitions`.
        what: &'static str,
        /// The shape a key has, with an example.
        expected: &'static str,
    },
    /// The text has the right shape, but no calendar has such a date.
    #[error("`{text}` is impossible: {reason}")]
    Impossible {
        /// What was given.
        text: String,
        /// What the calendar says.
        reason: String,
    },
    /// A date or time that the clocks of the zone jumped over.
    #[error("`{text}` does not exist in {zone}: the clocks there jumped over it; what comes next is `{next}`")]
    Skipped {
        /// What was given.
        text: String,
        /// Where it does not exist.
        zone: Tz,
        /// The partition that begins or runs at the end of the jump.
        next: PartitionKey,
    },
    /// A local hour that came twice, given without its offset.
    #[error("`{text}` came twice in {zone}: write `{first}` for the first hour or `{second}` for the second")]
    Ambiguous {
        /// What was given.
        text: String,
        /// Where it came twice.
        zone: Tz,
        /// The first occurrence.
        first: PartitionKey,
        /// The second occurrence.
        second: PartitionKey,
    },
    /// A time at which no hour begins.
    #[error("no hourly partition begins at `{text}`; the one that contains this time is `{containing}`")]
    NotAnHour {
        /// What was given.
        text: String,
        /// The partition that contains it.
        containing: PartitionKey,
    },
    /// Earlier than every partition.
    #[error("`{text}` lies before the start: the first partition is `{first}`")]
    BeforeStart {
        /// What was given.
        text: String,
        /// The first partition.
        first: PartitionKey,
    },
    /// Later than every partition there will ever be.
    #[error("`{text}` lies after the end: the last partition is `{last}`")]
    AfterEnd {
        /// What was given.
        text: String,
        /// The last partition.
        last: PartitionKey,
    },
    /// In the future.
    #[error("`{text}` has not begun yet: the newest partition is `{newest}`")]
    NotBegun {
        /// What was given.
        text: String,
        /// The partition that is running.
        newest: PartitionKey,
    },
    /// There is no partition at all so far.
    #[error("there is no partition yet: the first, `{first}`, has not begun")]
    NoneBegun {
        /// The first partition.
        first: PartitionKey,
    },
    /// `latest` was asked for before any partition ended.
    #[error("there is no latest partition yet: the first, `{first}`, has not ended")]
    NoneClosed {
        /// The first partition.
        first: PartitionKey,
    },
    /// Not in the list of static keys.
    #[error("there is no partition `{text}`{hint}")]
    Unknown {
        /// What was given.
        text: String,
        /// `; did you mean …?` or the keys there are.
        hint: String,
    },
    /// A key for an asset that has one partition only.
    #[error("`{text}` is no partition: the asset is not partitioned, its one partition is `all`")]
    NotPartitioned {
        /// What was given.
        text: String,
    },
    /// A range whose ends are the wrong way round.
    #[error("`{text}` ends before it begins: write `{swapped}`")]
    Reversed {
        /// What was given.
        text: String,
        /// The same with the ends exchanged.
        swapped: String,
    },
    /// A selection that names nothing.
    #[error("`{text}` selects nothing: write keys or ranges separated by commas, such as `{example}`")]
    NothingSelected {
        /// What was given.
        text: String,
        /// A selection that would do.
        example: String,
    },
    /// Not a text that any key can have.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A definition whose end does not come after its start.
    #[error("partitions cannot start on {start} and end on {end}: the end is exclusive and must leave a partition")]
    EndBeforeStart {
        /// The declared start.
        start: NaiveDate,
        /// The declared end.
        end: NaiveDate,
    },
    /// A definition outside the years that keys can express.
    #[error("partitions cannot start or end on {date}: keys have four-digit years, so dates run from 0001 to 9999")]
    OutOfRange {
        /// The declared start or end.
        date: NaiveDate,
    },
    /// A list of static keys without a key.
    #[error("static partitions need at least one key")]
    NoKeys,
    /// A list of static keys that names one twice.
    #[error("the static partition `{key}` is listed twice: every key stands for one partition")]
    DuplicateKey {
        /// The key.
        key: PartitionKey,
    },
}
