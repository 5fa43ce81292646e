//! Identity links: `account,account,source` lines that say two accounts belong to one person.

use crate::account::AccountId;
use crate::parse::{Ignored, Parsed, Problem, Reason, fields};

/// The longest word for where a link comes from, in characters.
const MAX_SOURCE_CHARACTERS: usize = 64;

/// Two accounts of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// One account.
    pub account: AccountId,
    /// Another account of the same person.
    pub same_as: AccountId,
    /// Who says so: letters, digits, `_`, `-`, `.`.
    pub source: String,
}

/// Reads one line. A line that starts with `#` and the heading `account,same_as,source` are no links.
///
/// # Errors
/// When there are not two or three columns, an account id is malformed, or the source is not a short word. The source
/// may be left out and is `manual` then.
pub fn parse(line: &str) -> Result<Parsed<Link>, Problem> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Parsed::Ignored(Ignored::Empty));
    }
    if line.starts_with('#') {
        return Ok(Parsed::Ignored(Ignored::Header));
    }
    let problem = |reason| Problem::new(reason, "link");
    let columns = fields::split(line).ok_or(problem(Reason::WrongColumns))?;
    let (account, same_as, source) = match columns.as_slice() {
        [account, same_as] => (account, same_as, ""),
        [account, same_as, source] => (account, same_as, source.as_ref()),
        _ => return Err(problem(Reason::WrongColumns)),
    };
    if account == "account" {
        return Ok(Parsed::Ignored(Ignored::Header));
    }
    let account = account.parse().map_err(|_| problem(Reason::MalformedAccount))?;
    let same_as = same_as.parse().map_err(|_| problem(Reason::MalformedAccount))?;
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if source.len() > MAX_SOURCE_CHARACTERS || !source.chars().all(allowed) {
        return Err(problem(Reason::MalformedField));
    }
    let source = if source.is_empty() { "manual" } else { source };
    Ok(Parsed::Record(Link { account, same_as, source: source.to_owned() }))
}
