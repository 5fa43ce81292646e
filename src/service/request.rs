//! A request for partitions, as data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::plan::Extent;

/// A state that partitions can be picked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// Ended and never built.
    Missing,
    /// The newest attempt failed or was blocked.
    Failed,
    /// Built from other code or other data than there is now.
    Stale,
}

impl PartitionState {
    /// The word used on the command line and in sentences.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Stale => "stale",
        }
    }
}

/// What is to be built, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(example = json!({ "selection": "+gold.daily_active_users", "extent": { "text": "2026-03-01..2026-03-05" }, "states": ["stale"] }))]
pub struct Request {
    /// The assets, as a selection.
    pub selection: String,
    /// Their partitions.
    pub extent: Extent,
    /// Of these only those in one of these states; all when empty. With a state, what reads a chosen partition and lies
    /// in the extent is looked at too, and built when it turns out to be stale.
    pub states: BTreeSet<PartitionState>,
    /// Build what is missing upstream first.
    pub upstream: bool,
    /// Build in spite of missing upstream partitions; what is missing is recorded.
    pub force: bool,
    /// One statement per partition, even for assets that can build ranges.
    pub per_partition: bool,
    /// Most partitions at once.
    pub concurrency_limit: Option<u32>,
    /// Added to the assets' priorities.
    pub priority: i32,
}

impl Request {
    /// A request for partitions of `selection` in this extent, without anything further.
    #[must_use]
    pub fn new(selection: &str, extent: Extent) -> Self {
        Self { selection: selection.to_owned(), extent, ..Self::default() }
    }

    /// The command line that asks for the same, after the program's name.
    #[must_use]
    pub fn command_line(&self, verb: &str) -> String {
        let mut words = vec![verb.to_owned(), quoted(&self.selection)];
        match &self.extent {
            Extent::Newest => {}
            Extent::All => words.push("--all".to_owned()),
            Extent::Text(text) => words.push(quoted(text)),
        }
        words.extend(self.states.iter().map(|state| format!("--{}", state.as_str())));
        for (set, flag) in
            [(self.upstream, "--upstream"), (self.force, "--force"), (self.per_partition, "--per-partition")]
        {
            if set {
                words.push(flag.to_owned());
            }
        }
        if let Some(limit) = self.concurrency_limit {
            words.push(format!("--concurrency {limit}"));
        }
        if self.priority != 0 {
            words.push(format!("--priority {}", self.priority));
        }
        words.join(" ")
    }
}

/// As a shell takes it.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-+:,/@%=".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
