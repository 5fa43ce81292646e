//! Who watches the process from outside, and how often the database is asked for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;

use super::health::Judged;
use super::metrics::{derived_families, process_families, state_families};
use super::{HealthView, MetricFamily, Process, Service, ServiceError, TableSizesView};
use crate::store::Store;
use crate::store::migrate::SchemaError;

/// Connections for watching: one question about metrics does not keep one about health waiting.
const CONNECTIONS: u32 = 2;

/// How long the database has to give an answer, and a connection to ask it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How old an answer may be that is given again, so that whoever asks often costs little.
const HEALTH_AGE: Duration = Duration::from_secs(1);
const SCHEMA_AGE: Duration = Duration::from_secs(60);
const STATE_AGE: Duration = Duration::from_secs(5);
const DERIVED_AGE: Duration = Duration::from_secs(60);
const SIZES_AGE: Duration = Duration::from_secs(60);

/// Answers questions about a process and its installation, on connections of its own: a busy process still answers, and
/// whoever asks cannot keep it from its work.
///
/// A question about health is one statement, one about metrics another; four more once a minute find whether the database
/// has the right version, and at most five how assets and schedules stand. Questions asked sooner than a second, or five
/// for metrics, after the last get its answer. Who asks for metrics every 15 seconds causes some 540 statements an hour.
pub struct Observer {
    service: Service,
    process: Process,
    started_at: DateTime<Utc>,
    health: Remembered<HealthView>,
    schema: Remembered<Option<String>>,
    state: Remembered<Gathered>,
    derived: Remembered<Gathered>,
    sizes: Remembered<Arc<TableSizesView>>,
}

/// Metrics of the state; `None` when it could not be read.
type Gathered = Option<Arc<Vec<MetricFamily>>>;

impl Observer {
    /// An observer of `process`, which works for the installation of `service`.
    #[must_use]
    pub fn new(service: &Service, mut process: Process) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let limit = format!("set statement_timeout = {}", PATIENCE.as_millis());
                    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(connection).await.map(|_| ())
                })
            })
            .connect_lazy_with(service.connect_options.clone());
        process.pools.push(("observer", pool.clone()));
        Self {
            started_at: service.now(),
            service: Service { store: Store::new(pool), ..service.clone() },
            process,
            health: Remembered::default(),
            schema: Remembered::default(),
            state: Remembered::default(),
            derived: Remembered::default(),
            sizes: Remembered::default(),
        }
    }

    /// What is known of the process without asking anybody.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Whether this process can do its work. Answers within seconds whatever the database does.
    pub async fn health(&self) -> HealthView {
        self.health.get(|_| HEALTH_AGE, async || self.judge().await).await
    }

    async fn judge(&self) -> HealthView {
        let now = self.service.now();
        let record = match tokio::time::timeout(PATIENCE, self.service.store.health(self.process.worker_id)).await {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => return HealthView::without_database(now, error.to_string()),
            Err(_) => {
                let reason = format!("it did not answer within {} s", PATIENCE.as_secs());
                return HealthView::without_database(now, reason);
            }
        };
        let age = |problem: &Option<String>| if problem.is_none() { SCHEMA_AGE } else { HEALTH_AGE };
        let schema = self.schema.get(age, async || self.schema_problem().await.err()).await;
        Judged { process: &self.process, record: &record, schema, now }.health()
    }

    /// What is wrong with the database's version.
    async fn schema_problem(&self) -> Result<(), String> {
        match tokio::time::timeout(PATIENCE, self.service.migrations.verify(self.service.store.pool())).await {
            Ok(result) => result.map_err(|error: SchemaError| error.to_string()),
            Err(_) => Err(format!("the database did not answer within {} s", PATIENCE.as_secs())),
        }
    }

    /// What the tables take, measured once a minute at most: the server looks at every file for that.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn table_sizes(&self) -> Result<Arc<TableSizesView>, ServiceError> {
        let measure = async || self.service.table_sizes().await.map(Arc::new);
        self.sizes.try_get(|_| SIZES_AGE, measure).await
    }

    /// The metrics: those of the process, and those of the state if it can be read.
    pub async fn metrics(&self) -> Vec<MetricFamily> {
        let mut families = process_families(&self.process, self.started_at);
        let state = self.state.get(|_| STATE_AGE, async || gathered(state_families(&self.service)).await).await;
        // Without the one there is no use in waiting for the other.
        let age = |derived: &Gathered| if derived.is_some() { DERIVED_AGE } else { STATE_AGE };
        let derived = match state {
            Some(_) => self.derived.get(age, async || gathered(derived_families(&self.service)).await).await,
            None => None,
        };
        families.push(MetricFamily::readable(derived.is_some()));
        families.extend([state, derived].into_iter().flatten().flat_map(|families| families.as_ref().clone()));
        families
    }
}

async fn gathered(families: impl Future<Output = Result<Vec<MetricFamily>, ServiceError>>) -> Gathered {
    let reason = match tokio::time::timeout(PATIENCE, families).await {
        Ok(Ok(families)) => return Some(Arc::new(families)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} s", PATIENCE.as_secs()),
    };
    tracing::warn!(reason, "the state could not be read for metrics");
    None
}

/// An answer and its age. Who asks while it is being found waits for it, so that there is one question at a time.
struct Remembered<T> {
    last: Mutex<Option<(Instant, T)>>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

impl<T: Clone> Remembered<T> {
    /// The last answer if it is younger than the `age` for such an answer, or a fresh one.
    async fn get(&self, age: impl Fn(&T) -> Duration, find: impl AsyncFnOnce() -> T) -> T {
        let Ok(value) = self.try_get(age, async || Ok::<_, Infallible>(find().await)).await;
        value
    }

    /// The same where there may be no answer, which is not remembered.
    async fn try_get<E>(&self, age: impl Fn(&T) -> Duration, find: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut last = self.last.lock().await;
        if let Some((at, value)) = &*last
            && at.elapsed() < age(value)
        {
            return Ok(value.clone());
        }
        let value = find().await?;
        *last = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}
