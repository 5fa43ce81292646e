//! Why a selection selects nothing.

/// Why a text selects nothing; each is a sentence with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// Nothing is written at all.
    #[error("the selection is empty: name assets, for example `gold.*` or `tag:nightly`, or `*` for all of them")]
    Empty,
    /// A part of the text has no meaning.
    #[error("cannot read `{part}` in the selection: {reason}")]
    Malformed {
        /// The part.
        part: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// No asset has that name.
    #[error("there is no asset `{name}`{}", suggestion_text(.suggestion.as_deref()))]
    UnknownAsset {
        /// The name as written.
        name: String,
        /// The asset that was probably meant.
        suggestion: Option<String>,
    },
    /// Several schemas have a table of that name.
    #[error("`{name}` could be any of {}: write the one you mean with its schema", quoted_list(.candidates))]
    AmbiguousAsset {
        /// The name as written.
        name: String,
        /// The assets it could mean.
        candidates: Vec<String>,
    },
    /// No asset has that tag, layer, kind or owner, or none has a name of that shape.
    #[error("no asset has {what} `{value}`{}", suggestion_or_list(.suggestion.as_deref(), .known))]
    UnknownValue {
        /// What was asked for, with its article: "the tag", "a name like".
        what: &'static str,
        /// The value as written.
        value: String,
        /// The value that was probably meant.
        suggestion: Option<String>,
        /// The values there are.
        known: Vec<String>,
    },
    /// Everything in the text is known, and yet no asset is left.
    #[error("the selection matches no asset: {reason}")]
    NothingMatches {
        /// The part of the text that leaves nothing, as written.
        part: String,
        /// Why, naming the part.
        reason: String,
    },
}

/// How many values an error lists when it has no suggestion.
const LISTED_VALUES: usize = 8;

fn suggestion_text(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(suggestion) => format!(": did you mean `{suggestion}`?"),
        None => ": `ls` lists all assets".to_owned(),
    }
}

fn quoted_list(values: &[String]) -> String {
    let mut shown: Vec<String> = values.iter().take(LISTED_VALUES).map(|value| format!("`{value}`")).collect();
    if values.len() > LISTED_VALUES {
        shown.push(format!("{} more", values.len() - LISTED_VALUES));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn suggestion_or_list(suggestion: Option<&str>, known: &[String]) -> String {
    match suggestion {
        Some(suggestion) => format!(": did you mean `{suggestion}`?"),
        None if known.is_empty() => String::new(),
        None => format!(": there is {}", quoted_list(known)),
    }
}

pub(super) fn malformed(part: &str, reason: impl Into<String>) -> SelectionError {
    SelectionError::Malformed { part: part.chars().take(80).collect(), reason: reason.into() }
}
