//! What a person can ask for. The command line and the pages both call it, and nothing else, and render what it returns.
//!
//! Nothing here is generic and nothing prints: every method takes plain values and returns plain structs that `serde`
//! can write. Times are instants; showing them in the calendar's zone is the caller's business.

mod accounts;
mod alerts;
mod asset;
mod assets;
mod automation;
mod backfill;
mod cause;
mod column_lineage;
mod condition;
mod dashboards;
mod error;
mod estimate;
mod garbage;
mod graph;
mod health;
mod history;
mod idempotency;
mod ids;
mod instance;
mod known;
mod launch;
mod log_tail;
mod mark;
mod metrics;
mod newest_step;
mod observer;
mod obstacle;
mod obstacles;
mod overview;
mod partitions;
mod picture;
mod plan;
mod pools;
mod process;
mod progress;
mod quarantine;
mod request;
mod retry;
mod rows;
mod run;
mod run_detail;
mod run_steps;
mod schedules;
mod schema;
mod select;
mod sensors;
mod status;
mod storage;
mod timeline;
mod trigger;
mod view;
mod why;
mod workers;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

pub use self::accounts::{
    AccountView, AuditQuery, AuditView, Caller, ChangedAccountView, Identified, Identity, LoggedIn, LoginAttempt,
    LoginError, LoginPolicy, LoginProvider, LoginProviders, LoginRequest, MINIMUM_PASSWORD_CHARACTERS, NewTokenView,
    Origin, Password, Presented, Role, Secret, SessionView, TokenView, Via,
};
pub use self::alerts::{AlertDetailView, AlertView, DeliveryView, TestedChannelView};
pub use self::asset::AssetDetailView;
pub use self::assets::{AssetView, asset_views, list_assets};
pub use self::automation::{AutomationView, PartitionEvaluationView, is_automated, unfresh};
pub use self::backfill::{BackfillAssetView, BackfillDetailView, BackfillProgressView, BackfillView, ControlledView};
pub use self::cause::{Because, Matter};
pub use self::column_lineage::{ColumnLineageView, ColumnSourceView, ReadColumnsView, UpstreamColumnView};
pub use self::condition::AssetCondition;
pub use self::dashboards::{
    AnomalyView, ByView, ChartData, ChartView, CohortView, DashboardRequest, DashboardSummaryView, DashboardView,
    DashboardsView, FigureView, HourView, PointView, SharedView, SwitchView, TriangleView,
};
pub use self::error::{ErrorKind, ServiceError};
pub use self::estimate::EstimateView;
pub use self::garbage::{GarbageRows, GarbageView, Retention};
pub use self::graph::{GraphEdge, GraphNode, GraphView, graph, graph_of};
pub use self::health::{HealthProblem, HealthView, PartHealth};
pub use self::history::{AttemptView, CheckView, MaterializationView, StepView};
pub use self::idempotency::{Once, RecordedAnswer, RequestKey};
pub use self::instance::InstanceView;
pub use self::launch::{LaunchKind, LaunchedView};
pub use self::log_tail::LogTail;
pub use self::mark::{MarkedView, mark_command};
pub use self::metrics::{MetricFamily, MetricKind, Sample, Value};
pub use self::newest_step::NewestStepView;
pub use self::observer::Observer;
pub use self::obstacle::{Obstacle, ObstacleKind, ObstacleView, PoolHolder};
pub use self::overview::{FailingCheckView, OverviewView, RanView};
pub use self::partitions::{
    PartitionPageView, PartitionQuery, PartitionRowView, PartitionStepView, PartitionVersionView, SeriesPointView,
    SeriesView,
};
pub use self::picture::{AssetPicture, HeatCell, HeatCounts, HeatState, Picture, PictureKeeper, Unbuilt, heat};
pub use self::plan::{PlanPart, PlanView, PlannedAsset, PlannedBecause};
pub use self::pools::{LoadView, PoolView, PoolWaitingView, RunningView, WorkerLoadView};
pub use self::process::{DEFAULT_ADDRESS, ListenError, PagesContext, Process, ServePages, listen};
pub use self::progress::{FailureView, ProgressView, SummaryView};
pub use self::quarantine::{DecidedView, QuarantineScope, QuarantinedView};
pub(crate) use self::request::quoted;
pub use self::request::{PartitionState, Request};
pub use self::rows::{MOST_DOWNLOADED_ROWS, MOST_ROWS, ROWS, RowStream, RowView, RowsRequest, RowsView, StandingView};
pub use self::run::{
    EventView, LogLineView, LogQuery, RunDetailView, RunPageView, RunPartitionsView, RunQuery, RunView,
};
pub use self::run_detail::{
    FailedStepView, LOG_LEVELS, LogPlace, LogTailQuery, RunTimeView, RunTimesView, RunVersionView,
};
pub use self::run_steps::{RunStepView, StepPlace};
pub use self::schedules::{
    ClockChange, ScheduleState, ScheduleView, SwitchedView, TickPlace, TickView, UpcomingTick, UpcomingView,
};
pub use self::schema::MigrationView;
pub use self::select::asks_for_states;
pub use self::sensors::{ChangedSensorView, EvaluationView, SensorDetailView, SensorView};
pub use self::status::{
    AssetState, AssetStatusView, FailedView, FreshnessView, StaleReasonView, StaleView, StatusView,
};
pub use self::storage::{ReconcilerView, TableSizeView, TableSizesView, VersionsView};
pub use self::timeline::{LaneKind, LaneView, SpanView, TimelineView};
pub use self::trigger::{TickPlanView, TriggeredView};
pub use self::view::{AssetPartitionsView, PartitionRangeView, PartitionsView};
pub use self::why::{BuiltByView, InputView, NextTickView, PartitionStanding, WhyView};
pub use self::workers::{WorkerState, WorkerView};

pub use crate::core::plan::Extent;
pub use crate::store::sensor::SensorChange;

use self::accounts::Accounts;
use self::column_lineage::KnownColumnLineage;
use crate::asset::definitions::Definitions;
use crate::clock::SharedClock;
use crate::engine::logs::LogCollector;
use crate::engine::{Worker, WorkerSettings};
use crate::store::Store;
use crate::store::migrate::Migrations;

/// Everything a person can ask of one installation: its definitions on its database. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    definitions: Arc<Definitions>,
    clock: SharedClock,
    connect_options: PgConnectOptions,
    migrations: Arc<Migrations>,
    accounts: Accounts,
    column_lineage: KnownColumnLineage,
    /// Who asks; `None` for the program itself.
    caller: Option<Arc<Caller>>,
}

impl Service {
    /// The service for `definitions` on the database that `pool` and `connect_options` both lead to.
    #[must_use]
    pub fn new(
        pool: PgPool,
        connect_options: PgConnectOptions,
        definitions: Arc<Definitions>,
        migrations: Arc<Migrations>,
        clock: SharedClock,
    ) -> Self {
        Self {
            store: Store::new(pool),
            definitions,
            clock,
            connect_options,
            migrations,
            accounts: Accounts::default(),
            column_lineage: KnownColumnLineage::default(),
            caller: None,
        }
    }

    /// The definitions that are served.
    #[must_use]
    pub const fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    /// The migrations of this program.
    #[must_use]
    pub const fn migrations(&self) -> &Arc<Migrations> {
        &self.migrations
    }

    /// The present instant, by the service's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A worker that carries out what was launched; it has connections of its own.
    #[must_use]
    pub fn worker(&self, logs: LogCollector, settings: WorkerSettings) -> Worker {
        Worker::new(&self.connect_options, self.definitions.clone(), self.clock.clone(), logs, settings)
    }
}
