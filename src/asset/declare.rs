//! How an asset is declared, and what the compiler refuses.

use std::future::Future;
use std::time::Duration;

use super::calendar::Calendar;
use super::circle::circle;
use super::context::Context;
use super::error::AssetError;
use super::partitions::{Partitions, PartitionsKind};
use super::sentence::{Sentence, same};
use super::statement::{DATE_TYPE, INSTANT_TYPE, TEXT_TYPE};
use super::table::{Column, Table};
use super::upstream::{DeclaredUpstream, Upstreams};
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::{Cadence, PartitionError, PartitionsDefinition};
use crate::core::policy::{AssetCheck, Automation, FreshnessPolicy, RetryPolicy, WaitPolicy};

/// One table with a row type, upstreams, partitions and policies.
///
/// How its rows come about is said by exactly one of [`SqlAsset`], [`RustAsset`] and [`ExternalAsset`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an asset",
    label = "an asset is needed here",
    note = "write `impl Asset for {Self}`; its row struct is declared with `table!`"
)]
pub trait Asset: Table {
    /// Its name, and its table.
    const KEY: AssetKey;

    /// The kind of its partitions.
    type Partitions: Partitions;

    /// The column that says which partition a row belongs to; empty exactly for unpartitioned assets.
    ///
    /// A `date` column holds local dates, a `timestamptz` column instants (the only choice for hours), and the text
    /// column of static partitions their keys. It must not be an `Option`.
    const PARTITION_COLUMN: &'static str = "";

    /// What it reads: a tuple of assets; `()` reads nothing.
    type Upstream: Upstreams<Self>;

    /// When it is materialized without being asked for.
    const AUTOMATION: Automation = Automation::Manual;

    /// How much of what a partition reads must be there, and fresh, before [`Self::AUTOMATION`] builds it.
    const WAIT: WaitPolicy = WaitPolicy::All;

    /// How old it may get.
    const FRESHNESS: Option<FreshnessPolicy> = None;

    /// When a failed attempt is repeated.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;

    /// The longest an attempt may take.
    const TIMEOUT: Option<Duration> = None;

    /// The named pool whose limit it counts against.
    const POOL: Option<&'static str> = None;

    /// Higher runs earlier.
    const PRIORITY: i32 = 0;

    /// Free words for selections (`tag:…`).
    const TAGS: &'static [&'static str] = &[];

    /// Who answers for it.
    const OWNER: Option<&'static str> = None;

    /// How new rows meet old ones: without a natural key the partition's rows are replaced; with one, rows are added,
    /// and a row whose values in these columns are already there is left out.
    const NATURAL_KEY: &'static [&'static str] = &[];

    /// Its partitions in `calendar`: by default all from the calendar's first day on, in its zone. They must be of the
    /// kind [`Self::Partitions`].
    ///
    /// # Errors
    /// When there are no such partitions.
    fn partitions(calendar: &Calendar) -> Result<PartitionsDefinition, PartitionError> {
        Self::Partitions::definition(calendar)
    }

    /// What its rows must satisfy.
    fn checks() -> Vec<AssetCheck> {
        Vec::new()
    }
}

/// An asset whose rows come from one `select`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a sql asset",
    label = "it has no SQL",
    note = "write `impl SqlAsset for {Self}`, or register it with `.rust` or `.external`"
)]
pub trait SqlAsset: Asset {
    /// The `select`: `$1` and `$2` are start and end of the partition's window and `$3` its date; for static
    /// partitions `$1` is the key; for an unpartitioned asset there are none. Its columns are found by name.
    const SQL: &'static str;

    /// The most partitions that one statement may build together, with `$1` and `$2` spanning all of them. More than 1
    /// needs a `select` that groups by the partition column, and no `$3`.
    const RANGE_PARTITIONS: u32 = 1;
}

/// An asset whose rows come from an async function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rust asset",
    label = "it has no function",
    note = "write `impl RustAsset for {Self}`, or register it with `.sql` or `.external`"
)]
pub trait RustAsset: Asset {
    /// To be counted up when the function computes something else: partitions built with another version are stale.
    const VERSION: u32;

    /// Computes one partition: rows go out through [`Context::push`] and [`Context::extend`], upstreams come in through
    /// [`ReadUpstream::read`](super::read::ReadUpstream::read).
    ///
    /// It may be called again for the same partition at any time, and what it pushed counts only when it returns `Ok`.
    fn materialize(context: &Context<Self>) -> impl Future<Output = Result<(), AssetError>> + Send;
}

/// An asset whose rows come from outside: a collector or a file.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an external asset",
    label = "nothing says that its rows come from outside",
    note = "write `impl ExternalAsset for {Self} {{}}`, or register it with `.sql` or `.rust`"
)]
pub trait ExternalAsset: Asset<Upstream = ()> {
    /// How late rows may come: those whose partition ended longer ago go into quarantine, where a person lets them in or
    /// refuses them. `None` takes rows of any age, as reading old files needs. Only for partitions made of time.
    const LATE_LIMIT: Option<Duration> = None;
}

/// What is checked of every asset while it is compiled: `table!` asks for it.
pub trait Declared: Asset {
    /// Fails to compile, with the reason, when the declaration cannot be.
    const VALID: () = {
        if let Some(problem) = problem::<Self>() {
            panic!("{}", problem.as_str());
        }
    };
}

impl<A: Asset> Declared for A {}

const fn problem<A: Asset>() -> Option<Sentence> {
    let about = Sentence::new().text(Key::<A>::KEY.as_str()).text(": ");
    if let Some(problem) = partition_column_problem::<A>(about) {
        return Some(problem);
    }
    let mut index = 0;
    while index < A::NATURAL_KEY.len() {
        let name = A::NATURAL_KEY[index];
        if find(A::COLUMNS, name).is_none() {
            return Some(no_column(about.text("NATURAL_KEY"), name, A::NAME, A::COLUMNS));
        }
        index += 1;
    }
    if let Some(problem) = upstream_problem(about, <A::Upstream as Upstreams<A>>::LIST) {
        return Some(problem);
    }
    match circle::<A>() {
        Some(circle) => Some(about.text("assets read each other in a circle: ").text(circle.as_str())),
        None => None,
    }
}

const fn partition_column_problem<A: Asset>(about: Sentence) -> Option<Sentence> {
    let name = A::PARTITION_COLUMN;
    let kind = <A::Partitions as Partitions>::KIND;
    if name.is_empty() {
        return match kind {
            PartitionsKind::Unpartitioned => None,
            PartitionsKind::Time(_) | PartitionsKind::Static => Some(about.text(
                "it is partitioned but has no PARTITION_COLUMN: name the column that says which partition a row belongs to",
            )),
        };
    }
    let Some(column) = find(A::COLUMNS, name) else {
        return Some(no_column(about.text("PARTITION_COLUMN"), name, A::NAME, A::COLUMNS));
    };
    let about = about.text("PARTITION_COLUMN `").text(name).text("` ");
    let is_instant = same(column.sql_type, INSTANT_TYPE);
    let (suits, wanted) = match kind {
        PartitionsKind::Unpartitioned => {
            return Some(
                about.text("is given, but the asset is unpartitioned: remove it, or choose partitions such as `Daily`"),
            );
        }
        PartitionsKind::Time(Cadence::Hourly) => (is_instant, "the rows of an hour are told by a `DateTime<Utc>`"),
        PartitionsKind::Time(_) => (
            is_instant || same(column.sql_type, DATE_TYPE),
            "the rows of such a partition are told by a `NaiveDate` or a `DateTime<Utc>`",
        ),
        PartitionsKind::Static => {
            (same(column.sql_type, TEXT_TYPE), "the rows of a static partition are told by a `String`")
        }
    };
    if !suits {
        return Some(about.text("is a `").text(column.sql_type).text("`: ").text(wanted));
    }
    if column.nullable {
        return Some(about.text("may be null: a row without a value belongs to no partition, take the `Option` away"));
    }
    None
}

const fn no_column(about: Sentence, name: &str, table: &str, columns: &[Column]) -> Sentence {
    let mut sentence = about.text(" `").text(name).text("` is no column of `").text(table).text("`: it has ");
    let mut index = 0;
    while index < columns.len() {
        if index > 0 {
            sentence = sentence.text(", ");
        }
        sentence = sentence.text("`").text(columns[index].name).text("`");
        index += 1;
    }
    sentence
}

const fn find(columns: &'static [Column], name: &str) -> Option<&'static Column> {
    let mut index = 0;
    while index < columns.len() {
        if same(columns[index].name, name) {
            return Some(&columns[index]);
        }
        index += 1;
    }
    None
}

const fn upstream_problem(about: Sentence, upstreams: &'static [DeclaredUpstream]) -> Option<Sentence> {
    let mut later = 0;
    while later < upstreams.len() {
        let key = upstreams[later].key.as_str();
        let about = about.text("upstream `").text(key).text("` ");
        if let PartitionMapping::Window { start, end } = upstreams[later].mapping
            && start > end
        {
            return Some(about.text("has a `Window` that ends before it begins: its START must not exceed its END"));
        }
        let mut earlier = 0;
        while earlier < later {
            if same(upstreams[earlier].key.as_str(), key) {
                return Some(about.text("is declared twice: declare it once, with one mapping"));
            }
            earlier += 1;
        }
        later += 1;
    }
    None
}

/// A constant reference to the key: the key itself has a destructor and cannot be looked at in a constant otherwise.
struct Key<A>(std::marker::PhantomData<A>);

impl<A: Asset> Key<A> {
    const KEY: &'static AssetKey = &A::KEY;
}
