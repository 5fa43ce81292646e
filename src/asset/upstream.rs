//! `type Upstream`: a tuple of assets, each alone or in [`Mapped`].

use super::circle::{FirstChain, Fuel};
use super::declare::Asset;
use super::mapping::{ByDefault, Mapped, Mapping};
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;

/// One declared dependency, known to the compiler.
#[derive(Debug)]
pub struct DeclaredUpstream {
    /// The asset that is read.
    pub key: AssetKey,
    /// By which mapping.
    pub mapping: PartitionMapping,
}

/// What may stand as `type Upstream` of the asset `Reader`: a tuple of up to eight assets; `()` reads nothing.
#[diagnostic::on_unimplemented(
    message = "`type Upstream` of `{Reader}` is no tuple of assets",
    label = "expected `()`, `(First,)`, `(First, Second)` and so on, up to eight",
    note = "a tuple of one has a comma: `type Upstream = (UserActivity,);`"
)]
pub trait Upstreams<Reader> {
    /// The dependencies in their order.
    const LIST: &'static [DeclaredUpstream];

    /// For finding circles: the upstreams of the upstreams, as deep as the fuel lasts.
    #[doc(hidden)]
    type Chains<F: Fuel>: FirstChain;
}

/// An element of `type Upstream` of the asset `Reader`.
#[diagnostic::on_unimplemented(
    message = "`{Reader}` declares `{Self}` as upstream, but that is not an asset",
    label = "expected assets, or `Mapped<SomeAsset, SomeMapping>`",
    note = "an asset is declared with `table!` and `impl Asset`"
)]
pub trait UpstreamOf<Reader> {
    /// The asset that is read.
    type Asset: Asset;
    /// By which mapping.
    type Mapping;
}

#[diagnostic::do_not_recommend]
impl<Reader, U: Asset> UpstreamOf<Reader> for U {
    type Asset = U;
    type Mapping = ByDefault;
}

impl<Reader, U: Asset, M> UpstreamOf<Reader> for Mapped<U, M> {
    type Asset = U;
    type Mapping = M;
}

/// The tuple `Self`, which the asset `Reader` declares as its upstreams, contains `Upstream`, alone or mapped.
///
/// `Position` is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Reader}` reads `{Upstream}` but does not declare it",
    label = "undeclared upstream",
    note = "add `{Upstream}` to `type Upstream` of `{Reader}`"
)]
pub trait Contains<Reader, Upstream, Position> {}

/// The position `INDEX` in a tuple of upstreams, of an asset alone.
#[derive(Debug)]
pub struct At<const INDEX: usize>;

/// The position `INDEX` in a tuple of upstreams, of an asset mapped by `M`.
#[derive(Debug)]
pub struct MappedAt<const INDEX: usize, M>(std::marker::PhantomData<M>);

macro_rules! upstreams {
    ($($element:ident)*) => {
        impl<Reader: Asset, $($element: UpstreamOf<Reader>),*> Upstreams<Reader> for ($($element,)*)
        where
            $($element::Mapping: Mapping<
                Reader::Partitions,
                <$element::Asset as Asset>::Partitions,
                Reader,
                $element::Asset,
            >,)*
        {
            const LIST: &'static [DeclaredUpstream] = &[$(
                DeclaredUpstream {
                    key: <$element::Asset as Asset>::KEY,
                    mapping: <$element::Mapping as Mapping<
                        Reader::Partitions,
                        <$element::Asset as Asset>::Partitions,
                        Reader,
                        $element::Asset,
                    >>::MAPPING,
                },
            )*];
            type Chains<F: Fuel> = ($(F::Chain<$element::Asset>,)*);
        }
    };
}

macro_rules! contains {
    ($($index:literal: ($($before:ident)*) ($($after:ident)*);)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<Reader, Upstream, $($before,)* $($after,)*> Contains<Reader, Upstream, At<$index>>
            for ($($before,)* Upstream, $($after,)*)
        {
        }

        #[diagnostic::do_not_recommend]
        impl<Reader, Upstream, M, $($before,)* $($after,)*> Contains<Reader, Upstream, MappedAt<$index, M>>
            for ($($before,)* Mapped<Upstream, M>, $($after,)*)
        {
        }
    )*};
}

upstreams!();
upstreams!(A);
upstreams!(A B);
upstreams!(A B C);
upstreams!(A B C D);
upstreams!(A B C D E);
upstreams!(A B C D E G);
upstreams!(A B C D E G H);
upstreams!(A B C D E G H I);

contains! {
    0: () ();

    0: () (B);
    1: (A) ();

    0: () (B C);
    1: (A) (C);
    2: (A B) ();

    0: () (B C D);
    1: (A) (C D);
    2: (A B) (D);
    3: (A B C) ();

    0: () (B C D E);
    1: (A) (C D E);
    2: (A B) (D E);
    3: (A B C) (E);
    4: (A B C D) ();

    0: () (B C D E F);
    1: (A) (C D E F);
    2: (A B) (D E F);
    3: (A B C) (E F);
    4: (A B C D) (F);
    5: (A B C D E) ();

    0: () (B C D E F G);
    1: (A) (C D E F G);
    2: (A B) (D E F G);
    3: (A B C) (E F G);
    4: (A B C D) (F G);
    5: (A B C D E) (G);
    6: (A B C D E F) ();

    0: () (B C D E F G H);
    1: (A) (C D E F G H);
    2: (A B) (D E F G H);
    3: (A B C) (E F G H);
    4: (A B C D) (F G H);
    5: (A B C D E) (G H);
    6: (A B C D E F) (H);
    7: (A B C D E F G) ();
}
