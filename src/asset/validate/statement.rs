//! What can be said about an asset's SQL, and the partitions of one statement, without asking PostgreSQL.

use super::Review;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::partition::PartitionsDefinition;
use crate::core::sql_text::SqlText;

impl Review<'_> {
    pub(super) fn statement(&mut self, asset: &AssetSpec) {
        match asset.kind {
            AssetKind::Sql => match &asset.sql {
                Some(sql) => self.select(asset, sql, "SQL"),
                None => self.problem(asset, "it is a sql asset without SQL", "give it a `select`"),
            },
            AssetKind::Rust if asset.compute.is_none() => {
                self.problem(asset, "it is a rust asset without a function", "give it one");
            }
            AssetKind::Rust | AssetKind::External => {}
        }
        self.range_partitions(asset);
    }

    /// One `select` that uses no other parameters than those its partitions give it.
    pub(super) fn select(&mut self, asset: &AssetSpec, sql: &str, what: &str) {
        let text = SqlText::new(sql);
        match text.statement_count() {
            0 => {
                self.problem(asset, format!("{what} is empty"), "write one `select`");
                return;
            }
            1 => {}
            several => {
                self.problem(
                    asset,
                    format!("{what} has {several} statements"),
                    "write one `select`; parts of it can be named with `with`",
                );
                return;
            }
        }
        let keyword = text.leading_keyword().unwrap_or_default();
        if !matches!(keyword.as_str(), "select" | "with" | "values" | "table") {
            let first = if keyword.is_empty() { "something else".to_owned() } else { format!("`{keyword}`") };
            self.problem(
                asset,
                format!("{what} begins with {first}, not with `select`"),
                "write the `select` whose rows are wanted: Karat does the deleting and inserting",
            );
        }
        let (given, known) = parameters_of(asset);
        for number in text.parameters() {
            if number == 3 && known == 3 && asset.range_partitions > 1 {
                self.problem(
                    asset,
                    format!(
                        "{what} uses `$3`, the date of one partition, with RANGE_PARTITIONS {}",
                        asset.range_partitions
                    ),
                    "group by the partition column and use only `$1` and `$2`, or set RANGE_PARTITIONS to 1",
                );
            } else if number == 0 || number > known {
                self.problem(asset, format!("{what} uses the parameter `${number}`"), given);
            }
        }
    }

    fn range_partitions(&mut self, asset: &AssetSpec) {
        let count = asset.range_partitions;
        if count == 0 {
            self.problem(
                asset,
                "RANGE_PARTITIONS is 0: no statement could build anything",
                "1 builds partitions one by one, more builds so many with one statement",
            );
        } else if count > 1
            && !matches!((asset.kind, &asset.partitions), (AssetKind::Sql, PartitionsDefinition::Time(_)))
        {
            self.problem(
                asset,
                format!("RANGE_PARTITIONS is {count}, but only sql assets with time partitions build ranges"),
                "set it to 1",
            );
        }
    }
}

/// The parameters a statement of this asset is given, in words and their number.
fn parameters_of(asset: &AssetSpec) -> (&'static str, u32) {
    match asset.partitions {
        PartitionsDefinition::Time(_) => {
            ("there are `$1` and `$2`, start and end of the window as timestamptz, and `$3`, its date", 3)
        }
        PartitionsDefinition::Static(_) => ("there is only `$1`, the partition's key as text", 1),
        PartitionsDefinition::Unpartitioned => ("an unpartitioned asset has no parameters", 0),
    }
}
