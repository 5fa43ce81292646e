//! Mappings as types: which partitions of an upstream a partition reads, and between which kinds that can be said.

use std::marker::PhantomData;

use super::partitions::{
    Daily, Hourly, Monthly, Partitions, Static, StaticKeys, TimePartitions, Unpartitioned, Weekly,
};
use crate::core::mapping::PartitionMapping;

/// The upstream `A`, read by the mapping `M` instead of the default one: `Mapped<Sessions, Window<-6, 0>>`.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<A, M>(PhantomData<(A, M)>);

/// The mapping of an upstream that is declared without one: what overlaps, where a partition consists of whole upstream
/// partitions.
#[derive(Clone, Copy, Debug)]
pub struct ByDefault;

/// Reads the upstream partitions that overlap in time (of static ones, those with the same key).
#[derive(Clone, Copy, Debug)]
pub struct Overlap;

/// Reads from `START` partitions after the first overlapping one to `END` partitions after the last; negative offsets
/// lie before. `Window<-6, 0>` over days is a week.
#[derive(Clone, Copy, Debug)]
pub struct Window<const START: i64, const END: i64>;

/// Reads everything from the beginning up to the overlapping partitions.
pub type History = Window<{ i64::MIN }, 0>;

/// Reads every upstream partition that has begun.
#[derive(Clone, Copy, Debug)]
pub struct All;

/// Reads the newest upstream partition that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Latest;

/// A mapping that exists between partitions `Reading` of the asset `Asset` and partitions `Read` of its upstream
/// `Upstream`.
#[diagnostic::on_unimplemented(
    message = "`{Asset}` cannot read `{Upstream}` by the mapping `{Self}`",
    label = "there is no such mapping from `{Reading}` partitions to `{Read}` ones",
    note = "`Overlap` needs time or equal keys on both sides, `Window` time on both, `Latest` time upstream; `All` is always possible"
)]
pub trait Mapping<Reading, Read, Asset, Upstream> {
    /// The mapping as plain data.
    const MAPPING: PartitionMapping;
}

impl<Reading, Read, A, U> Mapping<Reading, Read, A, U> for ByDefault
where
    Reading: ReadsByDefault<Read, A, U>,
{
    const MAPPING: PartitionMapping = PartitionMapping::Overlap;
}

#[diagnostic::do_not_recommend]
impl<Reading, Read, A, U> Mapping<Reading, Read, A, U> for Overlap
where
    Reading: OverlapsWith<Read>,
{
    const MAPPING: PartitionMapping = PartitionMapping::Overlap;
}

#[diagnostic::do_not_recommend]
impl<Reading, Read, A, U, const START: i64, const END: i64> Mapping<Reading, Read, A, U> for Window<START, END>
where
    Reading: TimePartitions,
    Read: TimePartitions,
{
    const MAPPING: PartitionMapping = PartitionMapping::Window { start: START, end: END };
}

impl<Reading: Partitions, Read: Partitions, A, U> Mapping<Reading, Read, A, U> for All {
    const MAPPING: PartitionMapping = PartitionMapping::All;
}

#[diagnostic::do_not_recommend]
impl<Reading: Partitions, Read: HasLatest, A, U> Mapping<Reading, Read, A, U> for Latest {
    const MAPPING: PartitionMapping = PartitionMapping::Latest;
}

/// Partitions of which one is the newest.
pub trait HasLatest: Partitions {}

impl<P: TimePartitions> HasLatest for P {}
impl HasLatest for Unpartitioned {}

/// Partitions that can have something in common with partitions `Read`.
pub trait OverlapsWith<Read>: Partitions {}

/// Partitions that consist of whole partitions `Read`, so that an asset of them needs not say which it reads.
#[diagnostic::on_unimplemented(
    message = "`{Asset}` must say which partitions of `{Upstream}` it reads",
    label = "a partition of `{Self}` does not consist of whole partitions of `{Read}`",
    note = "`Mapped<{Upstream}, Overlap>` reads those that overlap, `Mapped<{Upstream}, Latest>` the newest closed one, `Mapped<{Upstream}, Window<-1, -1>>` the one before, `Mapped<{Upstream}, All>` every one"
)]
pub trait ReadsByDefault<Read, Asset, Upstream>: Partitions {}

macro_rules! overlapping {
    ($($reading:ident: $($read:ident)*;)*) => {$($(
        impl OverlapsWith<$read> for $reading {}
    )*)*};
}

macro_rules! by_default {
    ($($reading:ident: $($read:ident)*;)*) => {$($(
        impl<A, U> ReadsByDefault<$read, A, U> for $reading {}
    )*)*};
}

overlapping! {
    Hourly: Hourly Daily Weekly Monthly Unpartitioned;
    Daily: Hourly Daily Weekly Monthly Unpartitioned;
    Weekly: Hourly Daily Weekly Monthly Unpartitioned;
    Monthly: Hourly Daily Weekly Monthly Unpartitioned;
    Unpartitioned: Hourly Daily Weekly Monthly Unpartitioned;
}

impl<K: StaticKeys, L: StaticKeys> OverlapsWith<Static<L>> for Static<K> {}
impl<K: StaticKeys> OverlapsWith<Unpartitioned> for Static<K> {}
impl<K: StaticKeys> OverlapsWith<Static<K>> for Unpartitioned {}

// Weeks cross the ends of months, so neither consists of the other.
by_default! {
    Hourly: Hourly Unpartitioned;
    Daily: Hourly Daily Unpartitioned;
    Weekly: Hourly Daily Weekly Unpartitioned;
    Monthly: Hourly Daily Monthly Unpartitioned;
    Unpartitioned: Hourly Daily Weekly Monthly Unpartitioned;
}

impl<K: StaticKeys, A, U> ReadsByDefault<Static<K>, A, U> for Static<K> {}
impl<K: StaticKeys, A, U> ReadsByDefault<Unpartitioned, A, U> for Static<K> {}
impl<K: StaticKeys, A, U> ReadsByDefault<Static<K>, A, U> for Unpartitioned {}
