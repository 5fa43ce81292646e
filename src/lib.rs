//! Karat, an asset orchestrator on one PostgreSQL: *a partition is completely right or unchanged, in your time zone, and
//! it repairs itself when data arrives late*.
//!
//! An application declares its tables as assets, gathers them in [`Definitions`](asset::definitions::Definitions), and
//! gives them to [`cli::main`], which makes a program of them:
//!
//! ```
//! use karat::prelude::*;
//!
//! table! {
//!     /// Something that somebody did.
//!     pub struct Event {
//!         pub event_id: i64,
//!         pub occurred_at: DateTime<Utc>,
//!         pub person: i64,
//!     }
//! }
//! impl Asset for Event {
//!     const KEY: AssetKey = AssetKey::new("lake.events");
//!     type Partitions = Daily;
//!     const PARTITION_COLUMN: &'static str = "occurred_at";
//!     type Upstream = ();
//!     const NATURAL_KEY: &'static [&'static str] = &["event_id"];
//! }
//! impl ExternalAsset for Event {}
//!
//! table! {
//!     /// What happened on a day.
//!     pub struct DayCount {
//!         pub day: NaiveDate,
//!         /// Distinct people.
//!         pub people: i64,
//!     }
//! }
//! impl Asset for DayCount {
//!     const KEY: AssetKey = AssetKey::new("lake.daily");
//!     type Partitions = Daily;
//!     const PARTITION_COLUMN: &'static str = "day";
//!     type Upstream = (Event,);
//! }
//! impl SqlAsset for DayCount {
//!     const SQL: &'static str = "
//!         select occurred_at::date as day, count(distinct person) as people
//!         from lake.events
//!         where occurred_at >= $1 and occurred_at < $2
//!         group by 1";
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let calendar = Calendar { zone: "Europe/Berlin".parse()?, first_day: NaiveDate::default() };
//! let definitions = Definitions::builder(calendar).external::<Event>().sql::<DayCount>().build()?;
//! assert_eq!(definitions.graph().rank(&DayCount::KEY), Some(1));
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! A module uses only those above it; [`postgres`] uses only the clock, and [`testing`] may use all.
//!
//! | module | what it is |
//! |---|---|
//! | [`clock`] | time is a value |
//! | [`core`] | pure rules: keys, partitions, mappings, selections, plans, staleness, cron; no input or output |
//! | [`asset`] | how a user declares assets; lowered at once to plain [`AssetSpec`](asset::spec::AssetSpec)s |
//! | [`store`] | the only module with SQL about orchestration state |
//! | [`engine`] | carries out: launching, one attempt in one transaction, checks, recovery |
//! | [`daemon`] | reconcilers: what runs by itself |
//! | [`service`] | what a person can ask for, as plain data |
//! | [`web`] | what a process answers over HTTP |
//! | [`cli`] | the verbs of the command line |
//! | [`postgres`] | the private server, for when there is no `DATABASE_URL` |
//! | [`testing`] | test databases, and whole installations in simulated time |
//!
//! The architecture chapter of `README.md`, in the root of the repository, has the invariants, the protocol of an
//! attempt, and a walk through a backfill from the command line to the commit. `examples/lake` is a whole application.

pub mod asset;
pub mod cli;
pub mod clock;
pub mod core;
pub mod daemon;
pub mod engine;
pub mod postgres;
pub mod prelude;
pub mod service;
pub mod store;
pub mod testing;
pub mod web;
