//! What an extractor refuses, in words: which part of the request it is, and what is accepted there.
//!
//! What refuses is axum, and the parsers of numbers and dates behind it. Their texts are put into words in one place, for
//! pages and the API alike, so that no handler can forget to.

/// How axum's texts begin, and what the named parts of such a request are called.
const BEGINNINGS: [(&str, &str); 3] = [
    ("Failed to deserialize query string: ", "parameter"),
    ("Failed to deserialize form body: ", "field"),
    ("Failed to deserialize form: ", "field"),
];

/// What is said of a text by the parsers, and what is accepted instead.
const ACCEPTED: [(&str, &str); 12] = [
    ("invalid digit found in string", "is a whole number such as 25"),
    ("cannot parse integer from empty string", "is a whole number such as 25"),
    ("number too large to fit in target type", "is a smaller number"),
    ("number too small to fit in target type", "is a larger number"),
    ("provided string was not `true` or `false`", "is `true` or `false`"),
    ("input contains invalid characters", TIME),
    ("premature end of input", TIME),
    ("trailing input", TIME),
    ("input is out of range", TIME),
    ("input is not enough for unique date and time", TIME),
    ("no possible date and time matching input", TIME),
    ("UUID parsing failed", "is a whole id, as its page's address has it"),
];

const TIME: &str = "is a day such as 2026-03-20, or an instant such as 2026-03-20T03:15:00Z where a time is meant";

/// The refusal in words; what axum did not write stays as it is.
pub(crate) fn in_words(refusal: &str) -> String {
    if let Some(problem) = refusal.strip_prefix("Failed to parse the request body as JSON: ") {
        return format!("The body is no JSON: {problem}.");
    }
    if let Some(problem) = refusal.strip_prefix("Invalid URL: ") {
        return match problem.starts_with("Cannot parse") {
            true => "A part of the address has to be a number or a whole id, and is neither.".to_owned(),
            false => format!("The address: {problem}."),
        };
    }
    let part = BEGINNINGS.iter().find_map(|(beginning, part)| Some((refusal.strip_prefix(beginning)?, *part)));
    part.map_or_else(|| refusal.to_owned(), |(problem, part)| of_part(part, problem))
}

fn of_part(part: &str, problem: &str) -> String {
    if let Some(name) = quoted_after(problem, "missing field ") {
        return format!("The {part} `{name}` is missing.");
    }
    if let Some(name) = quoted_after(problem, "duplicate field ") {
        return format!("The {part} `{name}` is given more than once.");
    }
    let Some((name, problem)) = problem.split_once(": ").filter(|(name, _)| is_name(name)) else {
        return format!("The {part}s: {problem}.");
    };
    if let Some(given) = quoted_after(problem, "unknown variant ")
        && let Some((_, expected)) = problem.split_once("`, expected ")
    {
        return format!("The {part} `{name}` is {expected}, not `{given}`.");
    }
    match accepted(problem) {
        Some(accepted) => format!("The {part} `{name}` {accepted}."),
        None if problem.starts_with(name) => format!("The {part} {problem}."),
        None => format!("The {part} `{name}`: {problem}."),
    }
}

fn accepted(problem: &str) -> Option<&'static str> {
    ACCEPTED.iter().find(|(said, _)| problem.starts_with(said)).map(|(_, accepted)| *accepted)
}

fn quoted_after<'a>(problem: &'a str, beginning: &str) -> Option<&'a str> {
    problem.strip_prefix(beginning)?.strip_prefix('`')?.split('`').next()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || "_[]".contains(char))
}
