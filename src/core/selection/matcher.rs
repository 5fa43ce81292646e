//! What one part of a selection names, before any `+`.

use std::collections::BTreeSet;

use crate::core::key::AssetKey;
use crate::core::selection::error::{SelectionError, malformed};
use crate::core::selection::{SelectionCatalog, SelectionState};
use crate::core::suggest::did_you_mean;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matcher {
    Key(AssetKey),
    Table(String),
    Name(String),
    Layer(String),
    Tag(String),
    Kind(String),
    Owner(String),
    State(SelectionState),
}

const METHODS: [&str; 5] = ["tag", "layer", "kind", "owner", "state"];

impl Matcher {
    pub(super) fn parse(text: &str, atom: &str) -> Result<Self, SelectionError> {
        if text.is_empty() {
            return Err(malformed(atom, "a `+` needs an asset beside it"));
        }
        let Some((method, value)) = text.split_once(':') else { return Self::parse_name(text, atom) };
        if value.is_empty() {
            return Err(malformed(atom, format!("nothing follows `{method}:`")));
        }
        let value = value.to_owned();
        match method {
            "tag" => Ok(Self::Tag(value)),
            "layer" => Ok(Self::Layer(value)),
            "kind" => Ok(Self::Kind(value)),
            "owner" => Ok(Self::Owner(value)),
            "state" => {
                let states = SelectionState::ALL.map(SelectionState::as_str);
                match SelectionState::ALL.into_iter().find(|state| state.as_str() == value) {
                    Some(state) => Ok(Self::State(state)),
                    None => Err(malformed(
                        atom,
                        match did_you_mean(&value, states) {
                            Some(suggestion) => format!("did you mean `state:{suggestion}`?"),
                            None => format!("the states are {}", states.join(", ")),
                        },
                    )),
                }
            }
            _ => Err(malformed(
                atom,
                match did_you_mean(method, METHODS) {
                    Some(suggestion) => format!("did you mean `{suggestion}:{value}`?"),
                    None => format!("before a `:` stands one of {}", METHODS.join(", ")),
                },
            )),
        }
    }

    fn parse_name(text: &str, atom: &str) -> Result<Self, SelectionError> {
        if let Some(stray) = text.chars().find(|&char| !(char.is_alphanumeric() || "_.*?-".contains(char))) {
            return Err(malformed(atom, format!("`{}` is no part of a name or of a selection", stray.escape_debug())));
        }
        if is_pattern(text) {
            return Ok(Self::Name(text.to_owned()));
        }
        // A text that cannot be a key is no key's name either; evaluation says so, with a suggestion.
        Ok(text.parse().map_or_else(|_| Self::Table(text.to_owned()), Self::Key))
    }

    pub(super) fn evaluate(&self, catalog: &dyn SelectionCatalog) -> Result<BTreeSet<AssetKey>, SelectionError> {
        let assets = catalog.graph().topological_order();
        match self {
            Self::Key(key) if catalog.graph().contains(key) => Ok(BTreeSet::from([key.clone()])),
            Self::Key(key) => Err(unknown_asset(key.as_str(), assets)),
            Self::Table(name) => {
                let found: BTreeSet<AssetKey> = assets.iter().filter(|key| key.table() == name).cloned().collect();
                match found.len() {
                    0 => Err(unknown_asset(name, assets)),
                    1 => Ok(found),
                    _ => Err(SelectionError::AmbiguousAsset {
                        name: name.clone(),
                        candidates: found.iter().map(AssetKey::to_string).collect(),
                    }),
                }
            }
            Self::Name(pattern) => {
                let shaped = |key: &&AssetKey| match pattern.contains('.') {
                    true => fits(pattern, key.as_str()),
                    false => fits(pattern, key.table()),
                };
                let found: BTreeSet<AssetKey> = assets.iter().filter(shaped).cloned().collect();
                if found.is_empty() { Err(unknown_shape(pattern, assets)) } else { Ok(found) }
            }
            Self::Layer(layer) => with_value(assets, "the layer", layer, |key| vec![key.schema()]),
            Self::Kind(kind) => with_value(assets, "the kind", kind, |key| vec![catalog.kind(key)]),
            Self::Owner(owner) => {
                with_value(assets, "the owner", owner, |key| catalog.owner(key).into_iter().collect())
            }
            Self::Tag(tag) => {
                with_value(assets, "the tag", tag, |key| catalog.tags(key).iter().map(String::as_str).collect())
            }
            Self::State(state) => {
                // The state of an asset that is no longer declared may still be known.
                let mut found = catalog.assets_in_state(*state);
                found.retain(|key| catalog.graph().contains(key));
                Ok(found)
            }
        }
    }
}

fn unknown_asset(name: &str, assets: &[AssetKey]) -> SelectionError {
    SelectionError::UnknownAsset {
        name: name.chars().take(80).collect(),
        suggestion: did_you_mean(name, assets.iter().map(AssetKey::as_str)),
    }
}

/// No asset has a name of that shape: perhaps its schema is misspelt.
fn unknown_shape(pattern: &str, assets: &[AssetKey]) -> SelectionError {
    let suggestion = pattern.split_once('.').filter(|(schema, _)| !is_pattern(schema)).and_then(|(schema, table)| {
        let meant = did_you_mean(schema, assets.iter().map(AssetKey::schema)).filter(|meant| meant != schema)?;
        Some(format!("{meant}.{table}"))
    });
    SelectionError::UnknownValue {
        what: "a name like",
        value: pattern.chars().take(80).collect(),
        suggestion,
        known: Vec::new(),
    }
}

/// The assets of which one value has the shape of `wanted`; none is an error that names the values there are.
fn with_value<'catalog>(
    assets: &'catalog [AssetKey],
    what: &'static str,
    wanted: &str,
    values: impl Fn(&'catalog AssetKey) -> Vec<&'catalog str>,
) -> Result<BTreeSet<AssetKey>, SelectionError> {
    let found: BTreeSet<AssetKey> =
        assets.iter().filter(|key| values(key).iter().any(|value| fits(wanted, value))).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let known: BTreeSet<&str> = assets.iter().flat_map(values).collect();
    Err(SelectionError::UnknownValue {
        what,
        value: wanted.chars().take(80).collect(),
        // A shape is no misspelling, and a list of all there is says nothing about it.
        suggestion: if is_pattern(wanted) { None } else { did_you_mean(wanted, &known) },
        known: if is_pattern(wanted) { Vec::new() } else { known.into_iter().map(str::to_owned).collect() },
    })
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether `text` has the shape of `pattern`, in which `*` is any text and `?` any one character.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at_pattern, mut at_text) = (0, 0);
    // The last `*` met and the text position up to which it is taken to reach.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(&expected) if expected == '?' || expected == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((star_pattern, star_text)) = star else { return false };
                star = Some((star_pattern, star_text + 1));
                at_pattern = star_pattern + 1;
                at_text = star_text + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|&rest| rest == '*')
}
