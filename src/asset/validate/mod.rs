//! The rules that declarations must obey and that need no database. Every rule reports, none stops the others.

mod assertions;
mod asset;
mod statement;

use std::collections::HashMap;
use std::sync::Arc;

use super::assets::Assets;
use super::problems::DefinitionError;
use super::spec::{AssetSpec, PoolLimits};
use crate::core::cron::{CronError, CronExpression};
use crate::core::key::AssetKey;
use crate::core::suggest::did_you_mean;

/// Suggestions compare a name with all others; after this many errors they would only cost time.
const ERRORS_WITH_SUGGESTIONS: usize = 20;

/// What all assets are checked against, and where their problems go.
pub(super) struct Review<'d> {
    assets: &'d Assets,
    pools: &'d PoolLimits,
    cron_expressions: HashMap<&'static str, Result<(), CronError>>,
    errors: Vec<DefinitionError>,
}

impl<'d> Review<'d> {
    /// Checks every pool and every asset by itself and against those it names; cycles are the graph's business.
    pub(super) fn run(assets: &'d Assets, pools: &'d PoolLimits) -> Vec<DefinitionError> {
        let mut review = Self { assets, pools, cron_expressions: HashMap::new(), errors: Vec::new() };
        review.pools();
        for asset in assets.values() {
            review.asset(asset);
            review.statement(asset);
            review.assertions(asset);
        }
        review.errors
    }

    fn problem(&mut self, asset: &AssetSpec, problem: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(DefinitionError {
            asset: Some(asset.key.clone()),
            file: asset.source_file.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    fn pools(&mut self) {
        for (name, _) in self.pools.iter().filter(|&(_, &limit)| limit == 0) {
            self.errors.push(DefinitionError {
                asset: None,
                file: String::new(),
                problem: format!("pool `{name}` has the limit 0: nothing in it would ever run"),
                remedy: "give it a limit of at least 1".to_owned(),
            });
        }
    }

    /// The asset of that key, or `None` after reporting that `asset` names one that is not registered.
    fn registered(&mut self, asset: &AssetSpec, key: &AssetKey, what: &str) -> Option<Arc<AssetSpec>> {
        let found = self.assets.get(key).cloned();
        if found.is_none() {
            let remedy = self.suggest(key.as_str(), self.assets.keys().map(AssetKey::as_str)).map_or_else(
                || "register it with `Definitions::builder`, or do not name it".to_owned(),
                |near| format!("did you mean `{near}`? Otherwise register `{key}` with `Definitions::builder`"),
            );
            self.problem(asset, format!("{what} `{key}` is not registered"), remedy);
        }
        found
    }

    /// Reports when `name` is no column of `owner`.
    fn column_exists(&mut self, asset: &AssetSpec, owner: &AssetSpec, name: &str, what: &str) -> bool {
        if owner.column(name).is_some() {
            return true;
        }
        let names = || owner.columns.iter().map(|column| column.name.as_str());
        let remedy = match self.suggest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its columns are {}", names().collect::<Vec<_>>().join(", ")),
        };
        let place = if owner.key == asset.key { String::new() } else { format!(" of `{}`", owner.key) };
        self.problem(asset, format!("{what} `{name}` is no column{place}"), remedy);
        false
    }

    fn suggest<'n>(&self, wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
        if self.errors.len() >= ERRORS_WITH_SUGGESTIONS {
            return None;
        }
        did_you_mean(wanted, names)
    }

    fn cron(&mut self, expression: &'static str) -> Result<(), CronError> {
        self.cron_expressions.entry(expression).or_insert_with(|| CronExpression::parse(expression).map(|_| ())).clone()
    }
}
