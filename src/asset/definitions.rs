//! The table of contents: all assets, schedules, sensors and dashboards of an installation, validated together.

use std::fmt;
use std::sync::Arc;

use super::assets::Assets;
use super::calendar::Calendar;
use super::code_version::code_version;
use super::dashboard::Dashboard;
use super::dashboards::checked_dashboards;
pub use super::problems::{DefinitionError, DefinitionErrors};
use super::schedules::checked_schedules;
use super::sensor::Sensor;
use super::spec::{AssetSpec, PoolLimits};
use super::validate::Review;
use crate::core::graph::{AssetGraph, GraphProblem};
use crate::core::key::AssetKey;
use crate::core::schedule::{Schedule, ScheduleSpec};
use crate::core::shown::shown;
use crate::core::suggest::did_you_mean;

/// All assets, pools, schedules and the calendar, known to fit together.
#[derive(Clone)]
pub struct Definitions {
    calendar: Calendar,
    assets: Assets,
    pools: PoolLimits,
    graph: AssetGraph,
    schedules: Vec<ScheduleSpec>,
    sensors: Vec<Sensor>,
    dashboards: Vec<Dashboard>,
}

impl Definitions {
    /// Validates plain declarations, fills in their code versions, and finds the order in which they depend on each
    /// other.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn from_specs(calendar: Calendar, specs: Vec<AssetSpec>, pools: PoolLimits) -> Result<Self, DefinitionErrors> {
        Self::assemble(calendar, specs, pools, Vec::new(), Vec::new(), Vec::new())
    }

    /// As [`Self::from_specs`], with errors that were found while lowering declarations.
    pub(super) fn assemble(
        calendar: Calendar,
        mut specs: Vec<AssetSpec>,
        pools: PoolLimits,
        schedules: Vec<Schedule>,
        dashboards: Vec<Dashboard>,
        mut errors: Vec<DefinitionError>,
    ) -> Result<Self, DefinitionErrors> {
        for spec in &mut specs {
            spec.code_version = code_version(spec);
        }
        let assets = Assets::new(specs, |first, second| errors.push(duplicate(first, second)));
        errors.extend(Review::run(&assets, &pools));
        let dashboards = checked_dashboards(dashboards, &assets, &mut errors);
        let edges = assets
            .values()
            .map(|asset| (asset.key.clone(), asset.upstreams.iter().map(|upstream| upstream.key.clone())));
        match AssetGraph::build(edges) {
            Ok(graph) => {
                let mut definitions =
                    Self { calendar, assets, pools, graph, schedules: Vec::new(), sensors: Vec::new(), dashboards };
                definitions.schedules = checked_schedules(schedules, &definitions, &mut errors);
                if errors.is_empty() { Ok(definitions) } else { Err(sorted(errors)) }
            }
            Err(graph_error) => {
                errors.extend(graph_error.problems.iter().filter_map(|problem| cycle(&assets, problem)));
                Err(sorted(errors))
            }
        }
    }

    /// The same with these sensors, which are known to be sound.
    pub(super) fn with_sensors(mut self, mut sensors: Vec<Sensor>) -> Self {
        sensors.sort_by(|left, right| left.name.cmp(&right.name));
        self.sensors = sensors;
        self
    }

    /// The calendar of the installation.
    #[must_use]
    pub const fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// All assets in the order of their keys.
    pub fn assets(&self) -> impl ExactSizeIterator<Item = &Arc<AssetSpec>> {
        self.assets.values()
    }

    /// The asset of that key.
    #[must_use]
    pub fn asset(&self, key: &AssetKey) -> Option<&Arc<AssetSpec>> {
        self.assets.get(key)
    }

    /// The asset that a person means by `name`: its key, or its table alone when no other schema has one of that name.
    ///
    /// # Errors
    /// [`UnknownAsset`], with the nearest name or the several that fit.
    pub fn find(&self, name: &str) -> Result<&Arc<AssetSpec>, UnknownAsset> {
        let name = name.trim();
        let fitting: Vec<&Arc<AssetSpec>> =
            self.assets.values().filter(|asset| asset.key.as_str() == name || asset.key.table() == name).collect();
        match fitting.as_slice() {
            [one] => Ok(one),
            [] => Err(UnknownAsset {
                name: name.to_owned(),
                nearest: did_you_mean(name, self.assets.keys().map(AssetKey::as_str))
                    .and_then(|near| near.parse().ok()),
                fitting: Vec::new(),
            }),
            several => Err(UnknownAsset {
                name: name.to_owned(),
                nearest: None,
                fitting: several.iter().map(|asset| asset.key.clone()).collect(),
            }),
        }
    }

    /// Who reads whom.
    #[must_use]
    pub const fn graph(&self) -> &AssetGraph {
        &self.graph
    }

    /// The schedules in the order of their names.
    #[must_use]
    pub fn schedules(&self) -> &[ScheduleSpec] {
        &self.schedules
    }

    /// The sensors in the order of their names.
    #[must_use]
    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }

    /// The dashboards as declared, in order, whether or not the assets of their charts are declared.
    #[must_use]
    pub fn dashboards(&self) -> &[Dashboard] {
        &self.dashboards
    }

    /// The named pools and how many steps of each may run at once.
    #[must_use]
    pub const fn pools(&self) -> &PoolLimits {
        &self.pools
    }
}

impl fmt::Debug for Definitions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Definitions")
            .field("calendar", &self.calendar)
            .field("assets", &self.assets.keys().collect::<Vec<_>>())
            .field("pools", &self.pools)
            .field("schedules", &self.schedules)
            .field("sensors", &self.sensors)
            .finish_non_exhaustive()
    }
}

/// A name that is no asset's, or that of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAsset {
    /// What was asked for.
    pub name: String,
    /// The asset that was probably meant.
    pub nearest: Option<AssetKey>,
    /// The assets that the name fits, when there are several.
    pub fitting: Vec<AssetKey>,
}

impl fmt::Display for UnknownAsset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = shown(&self.name);
        if !self.fitting.is_empty() {
            let keys: Vec<&str> = self.fitting.iter().map(AssetKey::as_str).collect();
            return write!(formatter, "`{shown}` can be any of {}: write the whole key", keys.join(", "));
        }
        write!(formatter, "there is no asset `{shown}`")?;
        match &self.nearest {
            Some(key) => write!(formatter, ": did you mean `{key}`?"),
            None => formatter.write_str(": `ls` lists all assets"),
        }
    }
}

impl std::error::Error for UnknownAsset {}

fn duplicate(first: &AssetSpec, second: &AssetSpec) -> DefinitionError {
    let place = if first.source_file == second.source_file {
        "is registered twice".to_owned()
    } else {
        format!("is already the key of the asset in {}", first.source_file)
    };
    DefinitionError {
        asset: Some(second.key.clone()),
        file: second.source_file.to_owned(),
        problem: format!("the key `{}` {place}", second.key),
        remedy: "register each asset once, and give each its own key".to_owned(),
    }
}

/// The graph also reports what the other rules have already said; only its circles are news.
fn cycle(assets: &Assets, problem: &GraphProblem) -> Option<DefinitionError> {
    let GraphProblem::Cycle(keys) = problem else { return None };
    let first = keys.first()?;
    if keys.len() < 2 {
        return None;
    }
    let path: Vec<String> = keys.iter().chain([first]).map(|key| format!("`{key}`")).collect();
    Some(DefinitionError {
        asset: Some(first.clone()),
        file: assets.get(first).map_or("", |asset| asset.source_file).to_owned(),
        problem: format!("assets read each other in a circle: {}", path.join(" reads ")),
        remedy: "take one of these upstreams away".to_owned(),
    })
}

fn sorted(mut errors: Vec<DefinitionError>) -> DefinitionErrors {
    errors.sort_by(|left, right| left.asset.cmp(&right.asset));
    DefinitionErrors { errors }
}
