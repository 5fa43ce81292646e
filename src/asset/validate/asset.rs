//! Names, upstreams, partitions and policies.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Review;
use crate::asset::spec::{AssetKind, AssetSpec, ColumnSpec};
use crate::asset::statement::{DATE_TYPE, INSTANT_TYPE, TEXT_TYPE};
use crate::core::key::MAX_IDENTIFIER_BYTES;
use crate::core::partition::{Cadence, PartitionsDefinition};
use crate::core::policy::{Automation, FreshnessRule, WriteMode};

/// More retries than this are an outage that somebody should look at.
const MAXIMUM_RETRIES: u32 = 100;

/// A retry further away than this is a schedule.
const MAXIMUM_RETRY_DELAY: Duration = Duration::from_secs(7 * 24 * 3600);

/// PostgreSQL has these in every table and gives them to no one else.
const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

impl Review<'_> {
    pub(super) fn asset(&mut self, asset: &AssetSpec) {
        self.columns(asset);
        self.partition_column(asset);
        self.upstreams(asset);
        self.write_mode(asset);
        self.automation(asset);
        self.limits(asset);
        self.words(asset);
    }

    fn columns(&mut self, asset: &AssetSpec) {
        if asset.columns.is_empty() {
            self.problem(asset, "the row struct has no columns", "give it at least one field");
        }
        let mut names = BTreeSet::new();
        for ColumnSpec { name, .. } in &asset.columns {
            if !names.insert(name) {
                self.problem(asset, format!("column `{name}` occurs twice"), "name each column once");
            }
            if name.is_empty() || name.contains('\0') {
                self.problem(asset, "a column has no usable name", "name it with letters, digits and `_`");
            }
            if name.len() > MAX_IDENTIFIER_BYTES {
                self.problem(
                    asset,
                    format!("the name of column `{name}` has {} bytes", name.len()),
                    format!("use at most {MAX_IDENTIFIER_BYTES}: PostgreSQL cuts longer names"),
                );
            }
            if SYSTEM_COLUMNS.contains(&name.as_str()) {
                self.problem(
                    asset,
                    format!("PostgreSQL has a system column `{name}` in every table"),
                    "use another name",
                );
            }
        }
    }

    fn partition_column(&mut self, asset: &AssetSpec) {
        let name = match (&asset.partition_column, &asset.partitions) {
            (None, PartitionsDefinition::Unpartitioned) => return,
            (None, _) => {
                self.problem(
                    asset,
                    "it is partitioned but has no PARTITION_COLUMN",
                    "name the column that says which partition a row belongs to",
                );
                return;
            }
            (Some(name), PartitionsDefinition::Unpartitioned) => {
                self.problem(
                    asset,
                    format!("it is unpartitioned but has the PARTITION_COLUMN `{name}`"),
                    "remove PARTITION_COLUMN, or choose partitions such as `Daily`",
                );
                return;
            }
            (Some(name), _) => name,
        };
        if !self.column_exists(asset, asset, name, "PARTITION_COLUMN") {
            return;
        }
        let Some(column) = asset.column(name) else { return };
        let (suits, wanted) = match &asset.partitions {
            PartitionsDefinition::Time(time) if time.cadence() == Cadence::Hourly => {
                (column.sql_type == INSTANT_TYPE, "an instant (`DateTime<Utc>`)")
            }
            PartitionsDefinition::Time(_) => (
                column.sql_type == INSTANT_TYPE || column.sql_type == DATE_TYPE,
                "a date (`NaiveDate`) or an instant (`DateTime<Utc>`)",
            ),
            PartitionsDefinition::Static(_) | PartitionsDefinition::Unpartitioned => {
                (column.sql_type == TEXT_TYPE, "a text (`String`)")
            }
        };
        if !suits {
            self.problem(
                asset,
                format!("PARTITION_COLUMN `{name}` is a `{}`", column.sql_type),
                format!("rows of these partitions are told by {wanted}: use such a column"),
            );
        }
        if column.nullable {
            self.problem(
                asset,
                format!("PARTITION_COLUMN `{name}` may be null"),
                "a row without a value belongs to no partition: take the `Option` away",
            );
        }
    }

    fn upstreams(&mut self, asset: &AssetSpec) {
        let mut seen = BTreeSet::new();
        for upstream in &asset.upstreams {
            let key = &upstream.key;
            if !seen.insert(key) {
                self.problem(asset, format!("upstream `{key}` is declared twice"), "declare it once, with one mapping");
                continue;
            }
            if *key == asset.key {
                self.problem(asset, "it is its own upstream", "an asset cannot read what it is about to write");
                continue;
            }
            let Some(found) = self.registered(asset, key, "upstream") else { continue };
            if let Err(error) = upstream.mapping.validate(&asset.partitions, &found.partitions) {
                self.problem(
                    asset,
                    format!("the mapping to upstream `{key}` is impossible: {error}"),
                    "declare another, such as `Mapped<…, All>` or `Mapped<…, Latest>`",
                );
            }
        }
        if asset.kind == AssetKind::External && !asset.upstreams.is_empty() {
            self.problem(
                asset,
                "it is external but has upstreams",
                "the rows of an external asset come from outside: use `type Upstream = ()`",
            );
        }
    }

    fn write_mode(&mut self, asset: &AssetSpec) {
        let WriteMode::Append { natural_key } = &asset.write_mode else { return };
        if natural_key.is_empty() {
            self.problem(
                asset,
                "it appends but its natural key has no columns",
                "name the columns that tell one row from all others",
            );
        }
        let mut seen = BTreeSet::new();
        for name in natural_key {
            if !seen.insert(name) {
                self.problem(asset, format!("NATURAL_KEY names `{name}` twice"), "name each column once");
            } else if self.column_exists(asset, asset, name, "NATURAL_KEY")
                && asset.column(name).is_some_and(|column| column.nullable)
            {
                self.problem(
                    asset,
                    format!("NATURAL_KEY column `{name}` may be null"),
                    "nulls are never equal, so such rows would be added again each time: take the `Option` away",
                );
            }
        }
    }

    fn automation(&mut self, asset: &AssetSpec) {
        if asset.kind == AssetKind::External && asset.automation != Automation::Manual {
            self.problem(
                asset,
                "it is external but has an AUTOMATION",
                "there is nothing to run: its rows come from outside",
            );
            return;
        }
        for expression in asset.automation.cron_expressions() {
            if let Err(error) = self.cron(expression) {
                self.problem(asset, format!("AUTOMATION: {error}"), "correct the cron expression");
            }
        }
        self.automation_part(asset, &asset.automation);
    }

    fn automation_part(&mut self, asset: &AssetSpec, automation: &Automation) {
        match automation {
            Automation::Manual | Automation::Cron(_) => {}
            Automation::Eager { .. } if asset.upstreams.is_empty() => self.problem(
                asset,
                "AUTOMATION is eager but it has no upstreams whose change could start it",
                "declare upstreams, or use another automation",
            ),
            Automation::OnClose { .. } if !matches!(asset.partitions, PartitionsDefinition::Time(_)) => self.problem(
                asset,
                "AUTOMATION is on_close but its partitions have no end in time",
                "use time partitions, or another automation",
            ),
            Automation::Eager { .. } | Automation::OnClose { .. } => {}
            Automation::Any(parts) | Automation::All(parts) => {
                if parts.is_empty() {
                    self.problem(
                        asset,
                        "AUTOMATION combines no conditions: nothing would ever start it",
                        "name at least one, or use `Automation::Manual`",
                    );
                }
                for part in *parts {
                    self.automation_part(asset, part);
                }
            }
        }
    }

    fn limits(&mut self, asset: &AssetSpec) {
        if asset.timeout == Some(Duration::ZERO) {
            self.problem(asset, "TIMEOUT is zero: no attempt could succeed", "give it time, or `None`");
        }
        if asset.late_limit.is_some() && asset.partitions.as_time().is_none() {
            self.problem(
                asset,
                "it has a LATE_LIMIT, but no row of it can be late: its partitions are not made of time",
                "remove LATE_LIMIT, or choose partitions such as `Daily`",
            );
        }
        self.freshness(asset);
        let retry = &asset.retry;
        if !(0.0..=1.0).contains(&retry.jitter) {
            self.problem(
                asset,
                format!("RETRY has the jitter {}", retry.jitter),
                "jitter is a share of the delay: from 0 to 1",
            );
        }
        if retry.retries > MAXIMUM_RETRIES {
            self.problem(
                asset,
                format!("RETRY has {} retries", retry.retries),
                format!("use at most {MAXIMUM_RETRIES}"),
            );
        }
        if retry.retries > 0 && retry.delay > retry.delay_limit {
            self.problem(
                asset,
                format!("RETRY has the delay {:?}, above its delay_limit {:?}", retry.delay, retry.delay_limit),
                "raise delay_limit or lower delay",
            );
        }
        if retry.delay_limit > MAXIMUM_RETRY_DELAY {
            self.problem(
                asset,
                format!("RETRY has the delay_limit {:?}", retry.delay_limit),
                "use at most 7 days, and a schedule for what is rarer",
            );
        }
        if let Some(pool) = &asset.pool
            && !self.pools.contains_key(pool)
        {
            let remedy = match self.suggest(pool, self.pools.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("define it with `.pool(\"{pool}\", limit)`"),
            };
            self.problem(asset, format!("pool `{pool}` is not defined"), remedy);
        }
    }

    fn freshness(&mut self, asset: &AssetSpec) {
        let Some(policy) = asset.freshness else { return };
        match policy.rule {
            FreshnessRule::MaximumLag(lag) if lag.is_zero() => {
                self.problem(asset, "FRESHNESS is zero: it could never be fresh", "allow at least a second, or `None`");
            }
            FreshnessRule::MaximumLag(lag) if policy.warn_before > lag => self.problem(
                asset,
                format!("FRESHNESS warns {:?} before a lag of {lag:?} is over", policy.warn_before),
                "warn within the lag",
            ),
            FreshnessRule::MaximumLag(_) => {}
            FreshnessRule::Deadline(expression) => {
                if let Err(error) = self.cron(expression) {
                    self.problem(asset, format!("FRESHNESS: {error}"), "correct the cron expression");
                }
            }
        }
    }

    /// Tags and owners occur in selections, where spaces, commas and some signs have a meaning.
    fn words(&mut self, asset: &AssetSpec) {
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|letter| letter.is_alphanumeric() || "_-./@#:".contains(letter))
        };
        let tags = asset.tags.iter().map(|tag| ("TAGS", tag));
        for (what, word) in tags.chain(asset.owner.iter().map(|owner| ("OWNER", owner))) {
            if !is_word(word) {
                self.problem(
                    asset,
                    format!("{what} has `{}`, which no selection could name", word.escape_debug()),
                    "use letters, digits and `_-./@#:`",
                );
            }
        }
    }
}
