//! Finding circles of upstreams while compiling.
//!
//! A constant that asked each upstream for the same constant would end in the compiler's own error about a cycle of
//! constants, which names none of the assets. So the question carries fuel, one unit less at each upstream: a chain
//! of upstreams that uses it all up is either a circle or longer than [`LENGTH`]. The assets on it are then known by
//! their keys, and a circle can be told as `a` reads `b` reads `a`. Longer circles are found by
//! [`Definitions`](super::definitions::Definitions) at run time.

use std::marker::PhantomData;

use super::declare::Asset;
use super::sentence::{Sentence, same};
use crate::core::key::AssetKey;

/// The fuel to start with.
///
/// Each unit costs two levels of nested constants, of which the compiler takes 128.
pub const LENGTH: usize = 32;

/// How much further upstream to look.
pub trait Fuel {
    /// The chain that begins with `A` and has this fuel.
    type Chain<A: Asset>: Chain;
}

/// None left.
#[derive(Debug)]
pub struct Spent;

/// One more than `F`.
#[derive(Debug)]
pub struct More<F>(PhantomData<F>);

type Four<F> = More<More<More<More<F>>>>;
type Sixteen<F> = Four<Four<Four<Four<F>>>>;
type Full = Sixteen<Sixteen<Spent>>;

impl Fuel for Spent {
    type Chain<A: Asset> = Last<A>;
}

impl<F: Fuel> Fuel for More<F> {
    type Chain<A: Asset> = Link<A, F>;
}

/// The keys on a chain, first to last.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    keys: [&'static str; LENGTH + 1],
    first: usize,
}

impl Keys {
    const fn last(key: &'static str) -> Self {
        let mut keys = [""; LENGTH + 1];
        keys[LENGTH] = key;
        Self { keys, first: LENGTH }
    }

    const fn after(mut self, key: &'static str) -> Self {
        self.first -= 1;
        self.keys[self.first] = key;
        self
    }

    /// The circle that leads from the first asset back to it, told as a sentence; `None` when the first is not on one.
    const fn circle(&self) -> Option<Sentence> {
        let first = self.keys[self.first];
        let mut sentence = Sentence::new().text("`").text(first).text("`");
        let mut index = self.first + 1;
        while index <= LENGTH {
            sentence = sentence.text(" reads `").text(self.keys[index]).text("`");
            if same(first, self.keys[index]) {
                return Some(sentence.text(": take one of these upstreams away"));
            }
            index += 1;
        }
        None
    }
}

/// A chain of upstreams.
pub trait Chain {
    /// The keys when the chain outlasts the fuel, `None` when it ends before.
    const KEYS: Option<Keys>;
}

/// The first of several chains that outlasts the fuel.
pub trait FirstChain {
    /// Its keys.
    const KEYS: Option<Keys>;
}

/// The end of a chain that outlasts the fuel.
#[derive(Debug)]
pub struct Last<A>(PhantomData<A>);

/// The asset `A` with the chains of its upstreams behind it.
#[derive(Debug)]
pub struct Link<A, F>(PhantomData<(A, F)>);

impl<A: Asset> Last<A> {
    const KEY: &'static AssetKey = &A::KEY;
}

impl<A: Asset> Chain for Last<A> {
    const KEYS: Option<Keys> = Some(Keys::last(Self::KEY.as_str()));
}

impl<A: Asset, F: Fuel> Chain for Link<A, F> {
    const KEYS: Option<Keys> = match <UpstreamChains<A, F> as FirstChain>::KEYS {
        Some(keys) => Some(keys.after(Last::<A>::KEY.as_str())),
        None => None,
    };
}

type UpstreamChains<A, F> = <<A as Asset>::Upstream as super::upstream::Upstreams<A>>::Chains<F>;

macro_rules! first_chain {
    ($($chain:ident)*) => {
        impl<$($chain: Chain),*> FirstChain for ($($chain,)*) {
            const KEYS: Option<Keys> = {
                let found: Option<Keys> = None;
                $(let found = if found.is_some() { found } else { $chain::KEYS };)*
                found
            };
        }
    };
}

first_chain!();
first_chain!(A);
first_chain!(A B);
first_chain!(A B C);
first_chain!(A B C D);
first_chain!(A B C D E);
first_chain!(A B C D E F);
first_chain!(A B C D E F G);
first_chain!(A B C D E F G H);

/// The circle of upstreams that `A` is on, told as a sentence.
pub(super) const fn circle<A: Asset>() -> Option<Sentence> {
    match <<Full as Fuel>::Chain<A> as Chain>::KEYS {
        Some(keys) => keys.circle(),
        None => None,
    }
}
