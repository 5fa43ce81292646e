//! Which assets a person means: `+gold.daily_active_users`, `silver.*`, `tag:nightly,kind:sql`, `state:stale !layer:bronze`.
//!
//! | written | means |
//! |---|---|
//! | `gold.daily_active_users` | that asset |
//! | `daily_active_users` | the same, where only one schema has such a table |
//! | `silver.*`, `*_users`, `fact_?` | the assets whose key (or, without a dot, whose table) has that shape |
//! | `layer:gold` | all of a schema |
//! | `tag:…` `owner:…` `kind:…` | the assets declared so; `*` and `?` may be used |
//! | `state:stale` | `missing`, `stale`, `failed` or `fresh` |
//! | `+a` `2+a` | and all it is made from, or only what is at most two steps away |
//! | `a+` `a+1` | and all that is made from it |
//! | `a b` | both |
//! | `a,b` | what is in both; `a,!b` is what is in `a` and not in `b` |
//! | `!a` | take it away from the whole |
//! | `--exclude a b` | take away everything that follows |
//!
//! Nothing but things to take away means: all assets but these.

mod error;
mod matcher;

use std::collections::BTreeSet;
use std::fmt;

use crate::core::graph::AssetGraph;
use crate::core::key::AssetKey;
pub use crate::core::selection::error::SelectionError;
use crate::core::selection::error::malformed;
use crate::core::selection::matcher::Matcher;

/// What a state selection can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectionState {
    /// Some partition that is due was never materialized.
    Missing,
    /// Some partition was built from other code or other data than there is now.
    Stale,
    /// The last attempt at some partition failed.
    Failed,
    /// None of the others.
    Fresh,
}

impl SelectionState {
    /// All states, in the order in which they are listed to people.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Stale, Self::Failed, Self::Fresh];

    /// The word after `state:`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::Fresh => "fresh",
        }
    }
}

/// What a selection must be able to ask about the assets it selects from. The assets are those of the graph.
pub trait SelectionCatalog {
    /// The assets and what reads what.
    fn graph(&self) -> &AssetGraph;

    /// The word after `kind:` for an asset of the graph: `external`, `sql` or `rust`.
    fn kind(&self, key: &AssetKey) -> &str;

    /// The tags of an asset of the graph.
    fn tags(&self, key: &AssetKey) -> &[String];

    /// Who answers for an asset of the graph.
    fn owner(&self, key: &AssetKey) -> Option<&str>;

    /// The assets in that state; asked only when a selection names it, because answering may need the database.
    fn assets_in_state(&self, state: SelectionState) -> BTreeSet<AssetKey>;
}

/// A selection that can be evaluated; it shows itself as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    text: String,
    items: Vec<Item>,
}

/// What stands between white space: an intersection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    text: String,
    removes: bool,
    atoms: Vec<Atom>,
}

/// What stands between commas.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Atom {
    text: String,
    negated: bool,
    ancestors: Option<Reach>,
    matcher: Matcher,
    descendants: Option<Reach>,
}

/// How far a `+` reaches; `None` is all the way.
type Reach = Option<usize>;

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::str::FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        parse(text)
    }
}

/// Reads a selection.
///
/// # Errors
/// When the text is empty or a part of it has no meaning. Whether the names in it exist, [`evaluate`] finds out.
pub fn parse(text: &str) -> Result<Selection, SelectionError> {
    let mut items = Vec::new();
    let mut excluding = false;
    for word in text.split_whitespace() {
        if word == "--exclude" {
            excluding = true;
        } else {
            items.push(Item::parse(word, excluding)?);
        }
    }
    if items.is_empty() {
        return Err(SelectionError::Empty);
    }
    Ok(Selection { text: text.split_whitespace().collect::<Vec<_>>().join(" "), items })
}

impl Item {
    fn parse(word: &str, excluding: bool) -> Result<Self, SelectionError> {
        let mut atoms = word.split(',').map(|part| Atom::parse(part, word)).collect::<Result<Vec<_>, _>>()?;
        let removes = match atoms.as_mut_slice() {
            [atom] => std::mem::take(&mut atom.negated),
            _ => false,
        };
        if removes && excluding {
            return Err(malformed(word, "after `--exclude` everything is taken away already: leave the `!` out"));
        }
        if atoms.iter().all(|atom| atom.negated) {
            return Err(malformed(word, "a `,` narrows something down: write `!a !b` to take both away"));
        }
        Ok(Self { text: word.to_owned(), removes: removes || excluding, atoms })
    }

    fn evaluate(&self, catalog: &dyn SelectionCatalog) -> Result<BTreeSet<AssetKey>, SelectionError> {
        let mut found: Option<BTreeSet<AssetKey>> = None;
        let mut removed = BTreeSet::new();
        for atom in &self.atoms {
            let keys = atom.evaluate(catalog)?;
            if atom.negated {
                removed.extend(keys);
            } else {
                found = Some(match found {
                    Some(found) => &found & &keys,
                    None => keys,
                });
            }
        }
        Ok(&found.unwrap_or_default() - &removed)
    }
}

impl Atom {
    fn parse(part: &str, word: &str) -> Result<Self, SelectionError> {
        let text = part.to_owned();
        let (negated, part) = match part.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, part),
        };
        if part.is_empty() {
            let reason = if negated { "nothing follows the `!`" } else { "nothing stands before or after a `,`" };
            return Err(malformed(word, reason));
        }
        let (ancestors, rest) = match part.split_once('+') {
            Some((depth, rest)) if is_depth(depth) => (Some(reach(depth)), rest),
            _ => (None, part),
        };
        let (descendants, rest) = match rest.rsplit_once('+') {
            Some((rest, depth)) if is_depth(depth) => (Some(reach(depth)), rest),
            _ => (None, rest),
        };
        Ok(Self { matcher: Matcher::parse(rest, &text)?, text, negated, ancestors, descendants })
    }

    fn evaluate(&self, catalog: &dyn SelectionCatalog) -> Result<BTreeSet<AssetKey>, SelectionError> {
        let matched = self.matcher.evaluate(catalog)?;
        let graph = catalog.graph();
        let mut keys = matched.clone();
        if let Some(depth) = self.ancestors {
            keys.append(&mut graph.ancestors(&matched, depth));
        }
        if let Some(depth) = self.descendants {
            keys.append(&mut graph.descendants(&matched, depth));
        }
        Ok(keys)
    }
}

fn is_depth(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn reach(depth: &str) -> Reach {
    // More digits than a number can hold reach further than any graph is deep.
    depth.parse().ok()
}

/// The assets that a selection means, at least one.
///
/// Additions are united first and removals taken away from the whole, wherever they stand in the text.
///
/// # Errors
/// A name, tag, layer, kind, owner or shape that no asset has, also in a removal: it is a typing error. A selection
/// that leaves no asset: the error names the part that is to blame.
pub fn evaluate(selection: &Selection, catalog: &dyn SelectionCatalog) -> Result<BTreeSet<AssetKey>, SelectionError> {
    let (removals, additions): (Vec<&Item>, Vec<&Item>) = selection.items.iter().partition(|item| item.removes);
    let mut selected = BTreeSet::new();
    if additions.is_empty() {
        selected.extend(catalog.graph().topological_order().iter().cloned());
        if selected.is_empty() {
            return Err(nothing_matches(&selection.text, "no asset is declared".to_owned()));
        }
    }
    for item in &additions {
        selected.append(&mut item.evaluate(catalog)?);
    }
    if selected.is_empty() {
        return Err(empty_addition(&additions, catalog));
    }
    for item in removals {
        selected = &selected - &item.evaluate(catalog)?;
        if selected.is_empty() {
            return Err(nothing_matches(&item.text, format!("taking `{}` away leaves nothing", item.text)));
        }
    }
    Ok(selected)
}

fn nothing_matches(part: &str, reason: String) -> SelectionError {
    SelectionError::NothingMatches { part: part.to_owned(), reason }
}

/// Says which part of additions that are all empty is to blame: an atom that is empty by itself, or an intersection.
fn empty_addition(additions: &[&Item], catalog: &dyn SelectionCatalog) -> SelectionError {
    let empty_atom = additions
        .iter()
        .flat_map(|item| &item.atoms)
        .find(|atom| !atom.negated && atom.evaluate(catalog).is_ok_and(|keys| keys.is_empty()));
    match (empty_atom, additions) {
        (Some(Atom { text, matcher: Matcher::State(state), .. }), _) => {
            nothing_matches(text, format!("no asset is {} (`{text}`)", state.as_str()))
        }
        (Some(atom), _) => nothing_matches(&atom.text, format!("`{}` is empty", atom.text)),
        (None, [item, ..]) => nothing_matches(&item.text, format!("no asset is in all of `{}`", item.text)),
        (None, []) => SelectionError::Empty,
    }
}
