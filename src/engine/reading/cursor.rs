//! Where a page of rows ended.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{ReadError, RowQuery};

/// A cursor that is longer than this was not made here, unless rows are told apart by very long texts.
const MAXIMUM_BYTES: usize = 8_000;

/// Where a page of rows ended. As text it is letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The column that the rows are in the order of.
    #[serde(rename = "o")]
    order: String,
    #[serde(rename = "d")]
    descending: bool,
    /// What the last row has there, and then what tells it from others, as PostgreSQL writes it.
    #[serde(rename = "k")]
    keys: Vec<Option<String>>,
}

impl Cursor {
    /// The place of `row`, whose last `keys` columns are texts that tell it.
    pub(super) fn at(query: &RowQuery<'_>, row: &PgRow, keys: usize) -> Result<Self, sqlx::Error> {
        let first = row.len().saturating_sub(keys);
        let keys = (first..row.len()).map(|index| row.try_get(index)).collect::<Result<_, _>>()?;
        Ok(Self { order: query.order.name.clone(), descending: query.descending, keys })
    }

    /// The texts that tell the place, if it is one in this list.
    pub(super) fn keys(&self, query: &RowQuery<'_>) -> Result<&[Option<String>], ReadError> {
        if self.order == query.order.name && self.descending == query.descending {
            Ok(&self.keys)
        } else {
            Err(ReadError::Cursor)
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        json.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = ReadError;

    fn from_str(text: &str) -> Result<Self, ReadError> {
        if text.len() > MAXIMUM_BYTES * 2 || text.len() % 2 == 1 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ReadError::Cursor);
        }
        let bytes: Option<Vec<u8>> = (0..text.len())
            .step_by(2)
            .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(ReadError::Cursor)
    }
}
