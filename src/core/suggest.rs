//! "Did you mean …?" for names that a person typed.

/// Texts longer than this get no suggestion: nobody mistyped them, and comparing costs the product of both lengths.
const LONGEST_BYTES: usize = 200;

/// Shorter texts than this are not searched for inside the candidates: they would be found in too many.
const SHORTEST_PART_CHARS: usize = 4;

/// The candidate that `wanted` was probably meant to be, or `None` when none is near enough to be worth naming.
///
/// Case does not count. A candidate such as `gold.daily_active_users` is also compared by what follows its last dot
/// when `wanted` has no dot. Of equally near candidates the first in alphabetical order is given, so that the same
/// question always has the same answer. The result is the candidate itself, not a sentence.
#[must_use]
pub fn did_you_mean<Candidates>(wanted: &str, candidates: Candidates) -> Option<String>
where
    Candidates: IntoIterator,
    Candidates::Item: AsRef<str>,
{
    let wanted = wanted.trim();
    if wanted.is_empty() || wanted.len() > LONGEST_BYTES {
        return None;
    }
    let wanted = wanted.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let candidate = candidate.as_ref();
            Some((distance(&wanted, &candidate.to_lowercase())?, candidate.to_owned()))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// How far `candidate` is from `wanted`; `None` when it is too far. A part of a name counts as further than any typo.
fn distance(wanted: &str, candidate: &str) -> Option<usize> {
    if candidate.is_empty() || candidate.len() > LONGEST_BYTES {
        return None;
    }
    let whole = typing_errors(wanted, candidate);
    let last_part = match candidate.rsplit_once('.') {
        Some((_, part)) if !wanted.contains('.') => typing_errors(wanted, part),
        _ => None,
    };
    let contained =
        || (wanted.chars().count() >= SHORTEST_PART_CHARS && candidate.contains(wanted)).then_some(candidate.len());
    whole.into_iter().chain(last_part).min().or_else(contained)
}

/// The number of typing errors between two texts when it is small for their length: one in three characters.
fn typing_errors(wanted: &str, candidate: &str) -> Option<usize> {
    let (wanted_chars, candidate_chars) = (wanted.chars().count(), candidate.chars().count());
    let tolerated = (wanted_chars.max(candidate_chars) / 3).max(1);
    if wanted_chars.abs_diff(candidate_chars) > tolerated {
        return None;
    }
    let errors = strsim::osa_distance(wanted, candidate);
    // Texts that share nothing are not misspellings of each other, however short they are.
    (errors <= tolerated && errors < wanted_chars.max(candidate_chars)).then_some(errors)
}
