//! The hash that says whether an asset is still computed the same way.

use sha2::{Digest, Sha256};

use super::spec::AssetSpec;
use crate::core::mapping::PartitionMapping;
use crate::core::policy::WriteMode;
use crate::core::sql_text;

/// How many hexadecimal digits of the hash are kept.
const DIGITS: usize = 16;

/// The code version of `asset`: 16 hexadecimal digits over what decides which rows come out.
///
/// That is the key, the normalized SQL (comments, white space and case outside quotes do not count), the version and
/// type of a rust asset's function, the columns in their order, what is read and by which mapping, the kind of
/// partitions (but not where they start or end), the partition column and the write mode. Descriptions, checks,
/// tags, schedules and limits do not count: they change when an asset runs and whether its rows are accepted, not the
/// rows.
#[must_use]
pub fn code_version(asset: &AssetSpec) -> String {
    let mut parts = Parts::default();
    parts.add("key", asset.key.as_str());
    parts.add("kind", asset.kind.as_str());
    if let Some(sql) = &asset.sql {
        parts.add("sql", &sql_text::normalize(sql));
    }
    if asset.compute.is_some() {
        parts.add("function", asset.type_name);
        parts.add("function version", &asset.compute_version.to_string());
    }
    for column in &asset.columns {
        parts.add("column", &column.name);
        parts.add("type", column.sql_type);
        parts.add("null", if column.nullable { "yes" } else { "no" });
    }
    let mut upstreams: Vec<_> = asset.upstreams.iter().collect();
    upstreams.sort_by(|left, right| left.key.cmp(&right.key));
    for upstream in upstreams {
        parts.add("upstream", upstream.key.as_str());
        parts.add("mapping", &mapping_text(&upstream.mapping));
    }
    parts.add("partitions", &asset.partitions.fingerprint());
    parts.add("partition column", asset.partition_column.as_deref().unwrap_or_default());
    match &asset.write_mode {
        WriteMode::ReplacePartition => parts.add("write mode", "replace"),
        WriteMode::Append { natural_key } => {
            parts.add("write mode", "append");
            for column in natural_key {
                parts.add("natural key", column);
            }
        }
    }
    parts.finish()
}

/// The mapping as text that stays the same when the type gains variants or other derives.
fn mapping_text(mapping: &PartitionMapping) -> String {
    match mapping {
        PartitionMapping::Overlap => "overlap".to_owned(),
        PartitionMapping::Window { start, end } => format!("window {start} {end}"),
        PartitionMapping::All => "all".to_owned(),
        PartitionMapping::Latest => "latest".to_owned(),
    }
}

/// Named texts, each with its length, so that no two different lists hash the same bytes.
#[derive(Default)]
struct Parts {
    hash: Sha256,
}

impl Parts {
    fn add(&mut self, name: &str, text: &str) {
        self.hash.update(name);
        self.hash.update((text.len() as u64).to_be_bytes());
        self.hash.update(text);
    }

    fn finish(self) -> String {
        let digest = self.hash.finalize();
        digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGITS).map(hex_digit).collect()
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}
