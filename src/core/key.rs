//! Names: the key of an asset and the key of a partition.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shown::shown;

/// The longest identifier PostgreSQL keeps, in bytes (`NAMEDATALEN - 1`); longer ones are cut silently by the server.
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// The longest partition key, in bytes.
pub const MAX_PARTITION_KEY_BYTES: usize = 200;

/// `schema.table`: the key of an asset *is* the PostgreSQL table that holds it.
///
/// Both parts are lower-case identifiers (`[a-z_][a-z0-9_]*`) of at most [`MAX_IDENTIFIER_BYTES`]; the schema is
/// none that PostgreSQL or Karat keeps for itself. A key can therefore stand in SQL without quoting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "gold.daily_active_users")]
pub struct AssetKey(Cow<'static, str>);

impl AssetKey {
    /// A key written in the source; a malformed one does not compile when this is evaluated in a `const`.
    ///
    /// # Panics
    /// When the text is not a valid key; [`FromStr`] is the way for text from outside.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        match validate_asset_key(text.as_bytes()) {
            Ok(()) => Self(Cow::Borrowed(text)),
            Err(problem) => panic!("{}", problem.sentence()),
        }
    }

    /// The whole key, `schema.table`.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match &self.0 {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => text.as_str(),
        }
    }

    /// The part before the dot: the layer (`bronze`, `silver`, `gold`) and PostgreSQL schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        self.0.split_once('.').map_or("", |(schema, _)| schema)
    }

    /// The part after the dot: the table.
    #[must_use]
    pub fn table(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, table)| table)
    }
}

/// Why a text is no [`AssetKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AssetKeyProblem {
    NotTwoParts,
    NotAnIdentifier,
    TooLong,
    ReservedSchema,
}

impl AssetKeyProblem {
    const fn sentence(self) -> &'static str {
        match self {
            Self::NotTwoParts => "an asset key is `schema.table`: exactly one dot between two names",
            Self::NotAnIdentifier => {
                "both parts of an asset key are lower-case identifiers: letters, digits and `_`, not starting with a digit"
            }
            Self::TooLong => "a part of an asset key has at most 63 bytes: PostgreSQL cuts longer names",
            Self::ReservedSchema => {
                "the schemas `karat`, `information_schema` and `pg_…` are not for assets: use another, such as bronze, silver or gold"
            }
        }
    }
}

const fn validate_asset_key(bytes: &[u8]) -> Result<(), AssetKeyProblem> {
    let mut dot = usize::MAX;
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        if byte == b'.' {
            if dot != usize::MAX {
                return Err(AssetKeyProblem::NotTwoParts);
            }
            dot = index;
        } else {
            let first_of_part = index == 0 || (dot != usize::MAX && index == dot + 1);
            let letter = byte.is_ascii_lowercase() || byte == b'_';
            if !(letter || byte.is_ascii_digit() && !first_of_part) {
                return Err(AssetKeyProblem::NotAnIdentifier);
            }
        }
        index += 1;
    }
    if dot == usize::MAX || dot == 0 || dot + 1 == bytes.len() {
        return Err(AssetKeyProblem::NotTwoParts);
    }
    if dot > MAX_IDENTIFIER_BYTES || bytes.len() - dot - 1 > MAX_IDENTIFIER_BYTES {
        return Err(AssetKeyProblem::TooLong);
    }
    if starts_with(bytes, b"pg_") || starts_with(bytes, b"karat.") || starts_with(bytes, b"information_schema.") {
        return Err(AssetKeyProblem::ReservedSchema);
    }
    Ok(())
}

const fn starts_with(bytes: &[u8], prefix: &[u8]) -> bool {
    if bytes.len() < prefix.len() {
        return false;
    }
    let mut index = 0;
    while index < prefix.len() {
        if bytes[index] != prefix[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// A text that is no key, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {reason}")]
pub struct KeyError {
    text: String,
    what: &'static str,
    reason: &'static str,
}

impl FromStr for AssetKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match validate_asset_key(text.as_bytes()) {
            Ok(()) => Ok(Self(Cow::Owned(text.to_owned()))),
            Err(problem) => Err(KeyError { text: text.to_owned(), what: "an asset key", reason: problem.sentence() }),
        }
    }
}

impl TryFrom<String> for AssetKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<AssetKey> for String {
    fn from(key: AssetKey) -> Self {
        key.0.into_owned()
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for AssetKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The name of one partition of an asset, such as `2026-11-21`, `2026-11`, `2026-W47` or `2026-10-25T02:00+01:00`.
///
/// What a key *means* is the business of the asset's
/// [`PartitionsDefinition`](crate::core::partition::PartitionsDefinition); this type only promises that the text is not
/// empty, at most [`MAX_PARTITION_KEY_BYTES`] long and free of what the range syntax of the command line needs
/// (`..`, `,`, white space at the ends) and of control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "2026-11-21")]
pub struct PartitionKey(String);

impl PartitionKey {
    /// The text of the one partition that an unpartitioned asset has.
    pub const UNPARTITIONED: &'static str = "all";

    /// The one partition of an unpartitioned asset.
    #[must_use]
    pub fn unpartitioned() -> Self {
        Self(Self::UNPARTITIONED.to_owned())
    }

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    const fn problem(text: &str) -> Option<&'static str> {
        if text.is_empty() {
            return Some("it is empty");
        }
        if text.len() > MAX_PARTITION_KEY_BYTES {
            return Some("it is longer than 200 bytes");
        }
        None
    }
}

impl FromStr for PartitionKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let reason = if let Some(problem) = Self::problem(text) {
            problem
        } else if text.chars().any(char::is_control) {
            "it contains a control character"
        } else if text.contains("..") || text.contains(',') {
            "`..` and `,` separate partitions and cannot be part of one"
        } else if text.trim() != text {
            "it begins or ends with white space"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(KeyError { text: shown(text), what: "a partition key", reason })
    }
}

impl TryFrom<String> for PartitionKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PartitionKey> for String {
    fn from(key: PartitionKey) -> Self {
        key.0
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
