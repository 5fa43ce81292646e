//! Places in SQL: where PostgreSQL found an error, and where a name occurs.

use std::ops::Range;

use serde::Serialize;

use crate::core::sql_text::{self, Token, TokenKind};

/// The longest part of a line that is shown, in characters.
const EXCERPT_CHARS: usize = 100;

/// How much of a longer line is shown before the place.
const CHARS_BEFORE: usize = 60;

/// A place in the SQL of an asset or a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SqlPlace {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The line, or of a long line the part around the place; tabs are spaces.
    pub excerpt: String,
    /// How many characters of the excerpt stand before the place.
    pub caret: usize,
}

impl SqlPlace {
    /// The place `byte` bytes after the beginning of `sql`; beyond its end it is the end, and within a character its
    /// beginning.
    pub(super) fn at(sql: &str, byte: usize) -> Self {
        let before = &sql[..sql.floor_char_boundary(byte)];
        let line_start = before.rfind('\n').map_or(0, |line_break| line_break + 1);
        let line: Vec<char> = sql[line_start..].lines().next().unwrap_or_default().chars().collect();
        let column = before[line_start..].chars().count();
        let from = if line.len() <= EXCERPT_CHARS { 0 } else { column.saturating_sub(CHARS_BEFORE) };
        let to = line.len().min(from + EXCERPT_CHARS);
        let cut = |is_cut: bool| if is_cut { "…" } else { "" };
        let shown: String =
            line[from.min(to)..to].iter().map(|&letter| if letter.is_control() { ' ' } else { letter }).collect();
        let excerpt = format!("{}{shown}{}", cut(from > 0), cut(to < line.len()));
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            excerpt: excerpt.trim_end().to_owned(),
            caret: column - from + usize::from(from > 0),
        }
    }
}

/// A statement whose parameters were replaced by nulls of their types, because a view has none.
pub(super) struct WithoutParameters {
    text: String,
    /// Where each parameter stands in the original, and how long its replacement is.
    replaced: Vec<(Range<usize>, usize)>,
}

impl WithoutParameters {
    pub(super) fn new(original: &str, type_of: impl Fn(u32) -> &'static str) -> Self {
        let mut lengths = Vec::new();
        let text = sql_text::substitute_parameters(original, |number| {
            let null = format!("null::{}", type_of(number));
            lengths.push(null.len() + "()".len());
            null
        });
        let is_parameter = |token: &Token<'_>| matches!(token.kind, TokenKind::Parameter(_));
        let parameters = sql_text::tokens(original).into_iter().filter(is_parameter);
        Self { text, replaced: parameters.map(|token| token.start..token.end()).zip(lengths).collect() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The byte of the original at the character of the text that PostgreSQL counts as `position`, from 1.
    pub(super) fn original_byte(&self, position: usize) -> usize {
        let byte = self.text.char_indices().nth(position.saturating_sub(1)).map_or(self.text.len(), |(byte, _)| byte);
        // How much longer the text has become up to here.
        let mut longer = 0;
        for (parameter, length) in &self.replaced {
            let start = parameter.start + longer;
            if byte < start {
                break;
            }
            if byte < start + length {
                return parameter.start;
            }
            longer += length - parameter.len();
        }
        byte - longer
    }
}

/// Where the table `schema.table` is named in `sql`, or `table` alone; the schema wins.
pub(super) fn find_table(sql: &str, schema: &str, table: &str) -> Option<SqlPlace> {
    let tokens = sql_text::tokens(sql);
    let qualified = tokens
        .windows(3)
        .find(|three| is_name(&three[0], schema) && three[1].text == "." && is_name(&three[2], table))
        .map(|three| three[0].start);
    qualified.or_else(|| find_name(&tokens, table)).map(|start| SqlPlace::at(sql, start))
}

/// Where `name` first occurs in `sql`.
pub(super) fn find_column(sql: &str, name: &str) -> Option<SqlPlace> {
    find_name(&sql_text::tokens(sql), name).map(|start| SqlPlace::at(sql, start))
}

fn find_name(tokens: &[Token<'_>], name: &str) -> Option<usize> {
    tokens.iter().find(|token| is_name(token, name)).map(|token| token.start)
}

/// Where a function of that name is called in `sql`.
pub(super) fn find_call(sql: &str, name: &str) -> Option<SqlPlace> {
    sql_text::tokens(sql)
        .windows(2)
        .find(|two| is_name(&two[0], name) && two[1].text == "(")
        .map(|two| SqlPlace::at(sql, two[0].start))
}

/// Where the column `name` of the result is made: the name that ends an item of the outermost `select`'s list.
pub(super) fn find_result_column(sql: &str, name: &str) -> Option<SqlPlace> {
    let mut depth = 0_usize;
    let outermost: Vec<Token<'_>> = sql_text::tokens(sql)
        .into_iter()
        .filter(|token| {
            match token.text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
        .collect();
    let is_word =
        |token: &Token<'_>, word: &str| token.kind == TokenKind::Word && token.text.eq_ignore_ascii_case(word);
    let start = outermost.iter().position(|token| is_word(token, "select"))? + 1;
    let list = &outermost[start..];
    let ends =
        ["from", "where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset"];
    let length = list.iter().position(|token| ends.iter().any(|end| is_word(token, end))).unwrap_or(list.len());
    let items = list[..length].split(|token| token.text == ",");
    let last = |item: &[Token<'_>]| item.last().filter(|token| is_name(token, name)).map(|token| token.start);
    items.filter_map(last).next().map(|start| SqlPlace::at(sql, start))
}

/// The name that begins at `byte` of `sql`, with its schema or qualifier if it has one, as PostgreSQL reads it.
pub(super) fn name_at(sql: &str, byte: usize) -> Option<String> {
    let tokens = sql_text::tokens(sql);
    let first = tokens.iter().position(|token| token.start == byte)?;
    let mut name = identifier_of(tokens.get(first)?)?;
    if tokens.get(first + 1).is_some_and(|token| token.text == ".") {
        name = format!("{name}.{}", identifier_of(tokens.get(first + 2)?)?);
    }
    Some(name)
}

fn is_name(token: &Token<'_>, name: &str) -> bool {
    identifier_of(token).is_some_and(|identifier| identifier == name)
}

/// The identifier that a token stands for. Escapes in `U&"…"` are not resolved.
fn identifier_of(token: &Token<'_>) -> Option<String> {
    match token.kind {
        TokenKind::Word => Some(token.text.to_lowercase()),
        TokenKind::QuotedIdentifier => {
            token.text.strip_prefix('"')?.strip_suffix('"').map(|inside| inside.replace("\"\"", "\""))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let sql = "select 'ä' as x,\r\n\tböse\r\nfrom t";
        let place = SqlPlace::at(sql, sql.find("böse").unwrap_or_default());
        assert_eq!(place, SqlPlace { line: 2, column: 2, excerpt: " böse".to_owned(), caret: 1 },);
        let end = SqlPlace::at("select\n", 100);
        assert_eq!((end.line, end.column, end.excerpt.as_str()), (2, 1, ""));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let sql = format!("select {}wrong{}", "a, ".repeat(100), ", b".repeat(100));
        let place = SqlPlace::at(&sql, 307);
        assert_eq!(place.column, 308);
        let shown: Vec<char> = place.excerpt.chars().collect();
        assert_eq!(shown[place.caret..place.caret + 5].iter().collect::<String>(), "wrong");
        assert!(place.excerpt.starts_with('…') && place.excerpt.ends_with('…') && shown.len() == 102);
    }

    #[test]
    fn every_character_finds_its_way_back_over_replaced_parameters() {
        let original = "select 'ü', $1 - $12 from t where a = $2 and b";
        let statement = WithoutParameters::new(original, |number| if number == 12 { "date" } else { "bigint" });
        assert_eq!(statement.text(), "select 'ü', (null::bigint) - (null::date) from t where a = (null::bigint) and b");
        for word in ["select", "'ü'", "- ", "from", "where", "and b"] {
            let position = statement.text().find(word).map(|byte| statement.text()[..byte].chars().count() + 1);
            assert_eq!(position.map(|position| statement.original_byte(position)), original.find(word), "{word}");
        }
        let inside = statement.text().chars().take_while(|&letter| letter != ')').count();
        assert_eq!(original[statement.original_byte(inside)..].get(..2), Some("$1"));
        assert_eq!(statement.original_byte(10_000), original.len());
    }

    #[test]
    fn a_column_of_the_result_is_found_where_it_is_made() {
        let sql = "with a as (select users from t) select count(users), a.users, max(b) as \"users\", x from a";
        assert_eq!(find_result_column(sql, "users").map(|place| place.column), Some(56));
        assert_eq!(find_result_column(sql, "x").map(|place| place.column), Some(82));
        assert_eq!(find_result_column(sql, "count"), None);
        assert_eq!(find_result_column("values (1)", "x"), None);
    }
}
