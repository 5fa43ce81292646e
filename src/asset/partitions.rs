//! The kinds of partitions as types, so that the compiler can tell which mappings exist.

use std::marker::PhantomData;

use super::calendar::Calendar;
use crate::core::partition::{Cadence, PartitionError, PartitionsDefinition};

/// A kind of partitions, without what the calendar adds at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionsKind {
    /// One partition, always the same.
    Unpartitioned,
    /// Windows of time.
    Time(Cadence),
    /// A fixed list of keys.
    Static,
}

impl PartitionsKind {
    /// Whether `definition` is of this kind.
    #[must_use]
    pub fn fits(self, definition: &PartitionsDefinition) -> bool {
        match (self, definition) {
            (Self::Unpartitioned, PartitionsDefinition::Unpartitioned)
            | (Self::Static, PartitionsDefinition::Static(_)) => true,
            (Self::Time(cadence), PartitionsDefinition::Time(time)) => time.cadence() == cadence,
            _ => false,
        }
    }
}

/// What may stand as `type Partitions` of an asset.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no kind of partitions",
    label = "expected `Unpartitioned`, `Hourly`, `Daily`, `Weekly`, `Monthly` or `Static<…>`"
)]
pub trait Partitions: 'static {
    /// The kind.
    const KIND: PartitionsKind;

    /// The partitions of this kind in `calendar`.
    ///
    /// # Errors
    /// When static keys are malformed or occur twice.
    fn definition(calendar: &Calendar) -> Result<PartitionsDefinition, PartitionError>;
}

/// Partitions that are windows of time.
#[diagnostic::on_unimplemented(
    message = "`{Self}` partitions are no windows of time",
    label = "expected `Hourly`, `Daily`, `Weekly` or `Monthly`"
)]
pub trait TimePartitions: Partitions {
    /// How long a window is.
    const CADENCE: Cadence;
}

/// The whole table is one partition.
#[derive(Clone, Copy, Debug)]
pub struct Unpartitioned;

/// One partition per hour of elapsed time.
#[derive(Clone, Copy, Debug)]
pub struct Hourly;

/// One partition per local calendar day.
#[derive(Clone, Copy, Debug)]
pub struct Daily;

/// One partition per ISO week of local days.
#[derive(Clone, Copy, Debug)]
pub struct Weekly;

/// One partition per local calendar month.
#[derive(Clone, Copy, Debug)]
pub struct Monthly;

/// One partition per key of a fixed list.
#[derive(Clone, Copy, Debug)]
pub struct Static<K>(PhantomData<K>);

/// The list of keys for [`Static`].
pub trait StaticKeys: 'static {
    /// The keys, in order.
    const KEYS: &'static [&'static str];
}

impl Partitions for Unpartitioned {
    const KIND: PartitionsKind = PartitionsKind::Unpartitioned;

    fn definition(_: &Calendar) -> Result<PartitionsDefinition, PartitionError> {
        Ok(PartitionsDefinition::Unpartitioned)
    }
}

impl<K: StaticKeys> Partitions for Static<K> {
    const KIND: PartitionsKind = PartitionsKind::Static;

    fn definition(_: &Calendar) -> Result<PartitionsDefinition, PartitionError> {
        PartitionsDefinition::fixed(K::KEYS.iter().copied())
    }
}

macro_rules! time_partitions {
    ($($marker:ident),*) => {$(
        impl Partitions for $marker {
            const KIND: PartitionsKind = PartitionsKind::Time(Cadence::$marker);

            fn definition(calendar: &Calendar) -> Result<PartitionsDefinition, PartitionError> {
                PartitionsDefinition::time(Cadence::$marker, calendar.zone, calendar.first_day, None)
            }
        }

        impl TimePartitions for $marker {
            const CADENCE: Cadence = Cadence::$marker;
        }
    )*};
}

time_partitions!(Hourly, Daily, Weekly, Monthly);
