//! From declarations to plain data.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::calendar::Calendar;
use super::compute::ComputeContext;
use super::context::Context;
use super::dashboard::Dashboard;
use super::declare::{Asset, ExternalAsset, RustAsset, SqlAsset};
use super::definitions::{DefinitionError, DefinitionErrors, Definitions};
use super::error::AssetError;
use super::partitions::Partitions;
use super::sensor::Sensor;
use super::spec::{AssetKind, AssetSpec, Compute, PoolLimits, UpstreamSpec};
use super::table::{Column, paragraphs};
use super::upstream::Upstreams;
use crate::core::policy::WriteMode;
use crate::core::schedule::Schedule;

impl Definitions {
    /// Starts the table of contents: register every asset, define every pool, then build.
    pub fn builder(calendar: Calendar) -> DefinitionsBuilder {
        DefinitionsBuilder {
            calendar,
            specs: Vec::new(),
            pools: BTreeMap::new(),
            schedules: Vec::new(),
            sensors: Vec::new(),
            dashboards: Vec::new(),
            errors: Vec::new(),
        }
    }
}

/// Collects declarations; see [`Definitions::builder`].
#[must_use = "call `build`"]
pub struct DefinitionsBuilder {
    calendar: Calendar,
    specs: Vec<AssetSpec>,
    pools: PoolLimits,
    schedules: Vec<Schedule>,
    sensors: Vec<Sensor>,
    dashboards: Vec<Dashboard>,
    errors: Vec<DefinitionError>,
}

impl DefinitionsBuilder {
    /// Registers an asset whose rows come from outside.
    pub fn external<A: ExternalAsset>(self) -> Self {
        self.register::<A>(AssetKind::External, |spec| spec.late_limit = A::LATE_LIMIT)
    }

    /// Registers an asset that is one `select`.
    pub fn sql<A: SqlAsset>(self) -> Self {
        self.register::<A>(AssetKind::Sql, |spec| {
            spec.sql = Some(A::SQL.to_owned());
            spec.range_partitions = A::RANGE_PARTITIONS;
        })
    }

    /// Registers an asset that is an async function.
    pub fn rust<A: RustAsset>(self) -> Self {
        self.register::<A>(AssetKind::Rust, |spec| {
            spec.compute = Some(Arc::new(RustFunction::<A>(PhantomData)));
            spec.compute_version = A::VERSION;
        })
    }

    /// Defines a pool: of the steps of its assets at most `limit` run at once, over all workers.
    pub fn pool(mut self, name: &str, limit: u32) -> Self {
        if self.pools.insert(name.to_owned(), limit).is_some() {
            self.errors.push(DefinitionError {
                asset: None,
                file: String::new(),
                problem: format!("pool `{name}` is defined twice"),
                remedy: "define it once, with one limit".to_owned(),
            });
        }
        self
    }

    /// Declares when partitions are built by themselves.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedules.push(schedule);
        self
    }

    /// Declares a function that looks at something outside and requests runs.
    pub fn sensor(mut self, sensor: Sensor) -> Self {
        let twice = self.sensors.iter().any(|other| other.name == sensor.name);
        let problem = sensor
            .problem()
            .or_else(|| twice.then(|| ("it is declared twice".to_owned(), "give each sensor its own name")));
        match problem {
            Some((problem, remedy)) => self.errors.push(DefinitionError {
                asset: None,
                file: String::new(),
                problem: format!("sensor `{}`: {problem}", sensor.name),
                remedy: remedy.to_owned(),
            }),
            None => self.sensors.push(sensor),
        }
        self
    }

    /// Declares a page of charts. Of a chart whose asset is not registered nothing is shown until it is.
    pub fn dashboard(mut self, dashboard: Dashboard) -> Self {
        self.dashboards.push(dashboard);
        self
    }

    /// Validates everything together.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn build(self) -> Result<Definitions, DefinitionErrors> {
        let Self { calendar, specs, pools, schedules, sensors, dashboards, errors } = self;
        let definitions = Definitions::assemble(calendar, specs, pools, schedules, dashboards, errors)?;
        Ok(definitions.with_sensors(sensors))
    }

    fn register<A: Asset>(mut self, kind: AssetKind, complete: impl FnOnce(&mut AssetSpec)) -> Self {
        match spec_of::<A>(kind, &self.calendar) {
            Ok(mut spec) => {
                complete(&mut spec);
                self.specs.push(spec);
            }
            Err(error) => self.errors.push(error),
        }
        self
    }
}

fn spec_of<A: Asset>(kind: AssetKind, calendar: &Calendar) -> Result<AssetSpec, DefinitionError> {
    let problem = |problem: String, remedy: &str| DefinitionError {
        asset: Some(A::KEY),
        file: A::SOURCE_FILE.to_owned(),
        problem,
        remedy: remedy.to_owned(),
    };
    let partitions = A::partitions(calendar).map_err(|error| {
        problem(format!("its partitions cannot be: {error}"), "correct `fn partitions` or the calendar")
    })?;
    if !A::Partitions::KIND.fits(&partitions) {
        return Err(problem(
            format!("`fn partitions` gives {} partitions, unlike `type Partitions`", partitions.as_str()),
            "let both say the same: the compiler checks mappings by `type Partitions`",
        ));
    }
    let upstreams = <A::Upstream as Upstreams<A>>::LIST.iter();
    Ok(AssetSpec {
        key: A::KEY,
        kind,
        description: paragraphs(A::DESCRIPTION),
        type_name: A::NAME,
        owner: A::OWNER.map(str::to_owned),
        tags: A::TAGS.iter().map(|&tag| tag.to_owned()).collect(),
        partitions,
        partition_column: (!A::PARTITION_COLUMN.is_empty()).then(|| A::PARTITION_COLUMN.to_owned()),
        columns: A::COLUMNS.iter().map(Column::to_spec).collect(),
        upstreams: upstreams
            .map(|upstream| UpstreamSpec { key: upstream.key.clone(), mapping: upstream.mapping })
            .collect(),
        checks: A::checks(),
        write_mode: if A::NATURAL_KEY.is_empty() {
            WriteMode::ReplacePartition
        } else {
            WriteMode::Append { natural_key: A::NATURAL_KEY.iter().map(|&column| column.to_owned()).collect() }
        },
        automation: A::AUTOMATION,
        wait: A::WAIT,
        freshness: A::FRESHNESS,
        retry: A::RETRY,
        timeout: A::TIMEOUT,
        late_limit: None,
        pool: A::POOL.map(str::to_owned),
        priority: A::PRIORITY,
        range_partitions: 1,
        source_file: A::SOURCE_FILE,
        sql: None,
        compute: None,
        compute_version: 0,
        code_version: String::new(),
    })
}

/// `A::materialize` behind the plain interface of the engine.
struct RustFunction<A>(PhantomData<fn() -> A>);

impl<A: RustAsset> Compute for RustFunction<A> {
    fn compute(&self, context: ComputeContext) -> BoxFuture<'_, Result<(), AssetError>> {
        Box::pin(async move { A::materialize(&Context::<A>::new(context)).await })
    }
}
