//! What is wrong with declarations, said so that it can be put right.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::core::count::counted;
use crate::core::key::AssetKey;

/// One thing that is wrong with a declaration: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DefinitionError {
    /// The asset; `None` when it concerns none in particular, such as a pool.
    pub asset: Option<AssetKey>,
    /// The source file of the declaration; empty when there is none.
    pub file: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.place(), self.problem, self.remedy)
    }
}

impl DefinitionError {
    fn place(&self) -> String {
        match (&self.asset, self.file.as_str()) {
            (Some(key), "") => key.to_string(),
            (Some(key), file) => format!("{key} ({file})"),
            (None, "") => "definitions".to_owned(),
            (None, file) => file.to_owned(),
        }
    }
}

/// Everything that is wrong with the declarations, at least one thing.
///
/// Its text is a list grouped by asset:
///
/// ```text
/// 2 problems in the definitions
///
/// gold.daily_active_users (assets/gold/daily_active_users.rs)
///   * PARTITION_COLUMN `dya` is no column
///     did you mean `day`?
///   * pool `datbase` is not defined
///     did you mean `database`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DefinitionErrors {
    /// The problems, in the order of the assets' keys.
    pub errors: Vec<DefinitionError>,
}

impl fmt::Display for DefinitionErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in the definitions", counted(self.errors.len(), "problem"))?;
        let mut places: BTreeMap<String, Vec<&DefinitionError>> = BTreeMap::new();
        for error in &self.errors {
            places.entry(error.place()).or_default().push(error);
        }
        for (place, errors) in places {
            write!(formatter, "\n\n{place}")?;
            for error in errors {
                write!(formatter, "\n  * {}\n    {}", error.problem, error.remedy)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for DefinitionErrors {}
