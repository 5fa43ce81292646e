//! The checks an asset declares.

use std::collections::BTreeSet;

use super::Review;
use crate::asset::spec::AssetSpec;
use crate::asset::statement::{DATE_TYPE, INSTANT_TYPE};
use crate::core::key::{AssetKey, MAX_IDENTIFIER_BYTES};
use crate::core::policy::{AssetCheck, CheckRule};

impl Review<'_> {
    pub(super) fn assertions(&mut self, asset: &AssetSpec) {
        let mut names = BTreeSet::new();
        for check in &asset.checks {
            let name = &check.name;
            if !names.insert(name) {
                self.problem(
                    asset,
                    format!("two checks are named `{name}`"),
                    "give one another name with `.named(…)`, or remove it",
                );
            }
            let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            if name.is_empty() || name.len() > MAX_IDENTIFIER_BYTES || !name.chars().all(is_letter) {
                self.problem(
                    asset,
                    format!("`{}` is no name for a check", name.escape_debug()),
                    format!("name it with `.named(…)`: letters, digits and `_`, at most {MAX_IDENTIFIER_BYTES} bytes"),
                );
            }
            self.assertion(asset, check);
        }
    }

    fn assertion(&mut self, asset: &AssetSpec, check: &AssetCheck) {
        let what = format!("check `{}`:", check.name);
        match &check.rule {
            CheckRule::NotNull { column } => {
                self.column_exists(asset, asset, column, &what);
            }
            CheckRule::Unique { columns } => {
                if columns.is_empty() {
                    self.problem(asset, format!("{what} no columns to be unique"), "name at least one");
                }
                for column in columns {
                    self.column_exists(asset, asset, column, &what);
                }
            }
            CheckRule::AcceptedValues { column, values } => {
                self.column_exists(asset, asset, column, &what);
                if values.is_empty() {
                    self.problem(asset, format!("{what} no value is accepted"), "list the values, or remove it");
                }
            }
            CheckRule::RowCount { at_least, at_most } => {
                if at_most.is_some_and(|at_most| at_most < *at_least) {
                    self.problem(
                        asset,
                        format!("{what} no count is at least {at_least} and at most {}", at_most.unwrap_or_default()),
                        "exchange the bounds",
                    );
                }
            }
            CheckRule::References { column, asset: referred, target } => {
                self.column_exists(asset, asset, column, &what);
                self.reference(asset, referred, target, &what);
            }
            CheckRule::Freshness { column, maximum_age } => {
                if self.column_exists(asset, asset, column, &what)
                    && let Some(found) = asset.column(column)
                    && found.sql_type != INSTANT_TYPE
                    && found.sql_type != DATE_TYPE
                {
                    self.problem(
                        asset,
                        format!("{what} `{column}` is a `{}`, which has no age", found.sql_type),
                        "use a column of dates or instants",
                    );
                }
                if maximum_age.is_zero() {
                    self.problem(asset, format!("{what} no row is of age zero"), "allow at least a second");
                }
            }
            CheckRule::Sql { statement } => self.select(asset, statement, &what),
        }
    }

    fn reference(&mut self, asset: &AssetSpec, referred: &AssetKey, target: &str, what: &str) {
        let is_upstream = asset.upstreams.iter().any(|upstream| upstream.key == *referred);
        if !is_upstream {
            let upstreams: Vec<&str> = asset.upstreams.iter().map(|upstream| upstream.key.as_str()).collect();
            let remedy = match self.suggest(referred.as_str(), upstreams.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Otherwise declare `{referred}` upstream"),
                None => "declare it upstream: a check may look only at what is built before".to_owned(),
            };
            self.problem(asset, format!("{what} `{referred}` is not among the upstreams"), remedy);
        } else if let Some(found) = self.assets.get(referred).cloned() {
            self.column_exists(asset, &found, target, what);
        }
    }
}
