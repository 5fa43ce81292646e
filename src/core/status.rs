//! Staleness: how a published partition compares with what it was made of.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::core::count::counted;
use crate::core::key::AssetKey;

/// Why a partition is stale. Several reasons may hold; they are listed in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Staleness {
    /// The declaration changed since: rebuilt only on request.
    Code,
    /// The data versions of an upstream's partitions differ from those read.
    InputChanged {
        /// The upstream asset.
        asset: AssetKey,
    },
    /// Rows landed in an external asset after the attempt looked.
    LateRows {
        /// The external asset.
        asset: AssetKey,
        /// How many rows came; 0 with none removed when a person said so without any.
        rows: i64,
        /// How many rows went; a changed row counts as one that went and one that came.
        removed: i64,
        /// When the first of them came or went.
        since: DateTime<Utc>,
        /// Who wrote them.
        writers: Vec<String>,
    },
    /// It was published before its window closed, which it now is.
    PublishedEarly,
    /// Required inputs were missing when it was built by force, and are there now or not: it was never complete.
    IncompleteInputs,
}

impl Staleness {
    /// The reason in a few words.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Code => "its definition changed".to_owned(),
            Self::InputChanged { asset } => format!("{asset} changed"),
            Self::LateRows { asset, rows, removed, since, writers } => {
                let since = since.format("%Y-%m-%d %H:%M:%SZ").to_string();
                late_rows_sentence(asset, *rows, *removed, &since, writers)
            }
            Self::PublishedEarly => "it was built before its window closed".to_owned(),
            Self::IncompleteInputs => "it was built by force with inputs missing".to_owned(),
        }
    }
}

/// What happened to the rows of an external asset, since when, and who did it.
#[must_use]
pub fn late_rows_sentence(asset: &AssetKey, rows: i64, removed: i64, since: &str, writers: &[String]) -> String {
    let writers = writers.join(", ");
    match (rows, removed) {
        (0, 0) => format!("{asset} was marked since {since}, {writers}"),
        (rows, 0) => format!("{} landed in {asset} since {since}, written by {writers}", counted(rows, "row")),
        (0, removed) => format!("{} went from {asset} since {since}, removed by {writers}", counted(removed, "row")),
        (rows, removed) => {
            let (rows, removed) = (counted(rows, "row"), counted(removed, "row"));
            format!("{rows} landed in {asset} and {removed} went from it since {since}, written by {writers}")
        }
    }
}

/// What a published version says of itself.
#[derive(Clone, Copy, Debug)]
pub struct PublishedVersion<'a> {
    /// Hash of the declaration that built it.
    pub code_version: &'a str,
    /// Upstream → digest of the versions read.
    pub input_versions: &'a BTreeMap<AssetKey, String>,
    /// Published before its window closed.
    pub open: bool,
    /// Built by force with inputs missing.
    pub incomplete: bool,
}

/// What holds now.
#[derive(Clone, Copy, Debug)]
pub struct PresentFacts<'a> {
    /// Hash of the declaration.
    pub code_version: &'a str,
    /// Upstream → digest of the versions that would be read.
    pub input_versions: &'a BTreeMap<AssetKey, String>,
    /// Whether the partition's window has closed.
    pub closed: bool,
    /// Rows that landed in external upstreams after the version's snapshot.
    pub late_rows: &'a [Staleness],
}

/// All reasons why `version` is stale; none means fresh.
#[must_use]
pub fn staleness(version: PublishedVersion<'_>, present: PresentFacts<'_>) -> Vec<Staleness> {
    let mut reasons = Vec::new();
    if version.code_version != present.code_version {
        reasons.push(Staleness::Code);
    }
    for (asset, digest) in present.input_versions {
        // An upstream the version does not know is a changed declaration, which the code version says.
        if version.input_versions.get(asset).is_some_and(|read| read != digest) {
            reasons.push(Staleness::InputChanged { asset: asset.clone() });
        }
    }
    reasons.extend_from_slice(present.late_rows);
    if version.open && present.closed {
        reasons.push(Staleness::PublishedEarly);
    }
    if version.incomplete {
        reasons.push(Staleness::IncompleteInputs);
    }
    reasons
}
