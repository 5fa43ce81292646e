//! SQL as text: where tokens begin and end, without knowing what they mean.
//!
//! The rules are those of PostgreSQL's own scanner with `standard_conforming_strings` on, so that a `$1` in a comment,
//! a string or a dollar-quoted body is never taken for a parameter. Nothing here fails: a text that PostgreSQL would
//! refuse to scan yields a [`TokenKind::Malformed`] token, and PostgreSQL says what is wrong with it.

use std::collections::BTreeSet;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or an unquoted identifier; its case does not count.
    Word,
    /// `"…"` or `U&"…"`.
    QuotedIdentifier,
    /// `'…'`, `E'…'`, `U&'…'`, `N'…'`, `B'…'`, `X'…'` or `$tag$…$tag$`.
    String,
    /// A further `'…'` after a string and a line break: PostgreSQL reads both as one string.
    StringContinuation,
    /// `1`, `1_000`, `.5`, `1e5`, `0xFF`.
    Number,
    /// `$1`; a number beyond `u32` counts as `u32::MAX`.
    Parameter(u32),
    /// `+`, `<=`, `->>` and whatever else is made of operator characters.
    Operator,
    /// `(`, `)`, `[`, `]`, `,`, `;`, `.`, `..`, `:`, `::`, `:=`.
    Punctuation,
    /// What PostgreSQL does not accept: a string or comment without an end (it reaches to the end of the text), a
    /// number or parameter that runs into a word, a character that begins nothing.
    Malformed,
}

/// One token and the place where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'sql> {
    /// What it is.
    pub kind: TokenKind,
    /// Its text as written.
    pub text: &'sql str,
    /// Where it begins, in bytes from the beginning of the text.
    pub start: usize,
}

impl Token<'_> {
    /// Where it ends, exclusive, in bytes from the beginning of the text.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of `sql` in order; comments and white space are what is not covered by them.
#[must_use]
pub fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut scanner = Scanner { sql, position: 0, continuable: None };
    // A token and what separates it from the next have some five bytes on average.
    let mut tokens = Vec::with_capacity(sql.len() / 4);
    tokens.extend(std::iter::from_fn(|| scanner.next_token()));
    tokens
}

/// A text with its tokens, for asking several things after reading it once.
#[derive(Debug)]
pub struct SqlText<'sql> {
    sql: &'sql str,
    tokens: Vec<Token<'sql>>,
}

impl<'sql> SqlText<'sql> {
    /// Reads `sql`.
    #[must_use]
    pub fn new(sql: &'sql str) -> Self {
        Self { sql, tokens: tokens(sql) }
    }

    /// See [`normalize`].
    #[must_use]
    pub fn normalize(&self) -> String {
        let last = self.tokens.iter().rposition(|token| token.text != ";").map_or(0, |last| last + 1);
        let mut normal = String::with_capacity(self.sql.len());
        let mut end = 0;
        for token in &self.tokens[..last] {
            match token.kind {
                // What it would be beside other white space is anybody's guess.
                TokenKind::Malformed => normal.push_str(&self.sql[end..token.start]),
                // Without a line break between them PostgreSQL would not read these as one string.
                TokenKind::StringContinuation => normal.push('\n'),
                _ if normal.is_empty() => {}
                _ => normal.push(' '),
            }
            end = token.end();
            let case_counts_from = match token.kind {
                TokenKind::Word | TokenKind::Number => token.text.len(),
                TokenKind::String | TokenKind::QuotedIdentifier => token.text.find(['\'', '"', '$']).unwrap_or(0),
                _ => 0,
            };
            let start = normal.len();
            normal.push_str(token.text);
            normal[start..start + case_counts_from].make_ascii_lowercase();
        }
        normal
    }

    /// See [`parameters`].
    #[must_use]
    pub fn parameters(&self) -> BTreeSet<u32> {
        let number = |token: &Token<'_>| match token.kind {
            TokenKind::Parameter(number) => Some(number),
            _ => None,
        };
        self.tokens.iter().filter_map(number).collect()
    }

    /// See [`statement_count`].
    #[must_use]
    pub fn statement_count(&self) -> usize {
        self.tokens.split(|token| token.text == ";").filter(|statement| !statement.is_empty()).count()
    }

    /// See [`leading_keyword`].
    #[must_use]
    pub fn leading_keyword(&self) -> Option<String> {
        let first = self.tokens.iter().find(|token| token.text != "(")?;
        (first.kind == TokenKind::Word).then(|| first.text.to_ascii_lowercase())
    }
}

/// `sql` with everything removed that does not count: comments, white space, semicolons at the end, and the case of
/// keywords, unquoted identifiers and numbers. What is left stands with one space between tokens.
///
/// A malformed token stays as it is written, with what stands before it.
///
/// Two texts with equal normal forms mean the same to PostgreSQL. The normal form of a normal form is itself.
#[must_use]
pub fn normalize(sql: &str) -> String {
    SqlText::new(sql).normalize()
}

/// The numbers of the parameters (`$1`, `$2`, …) that `sql` uses.
#[must_use]
pub fn parameters(sql: &str) -> BTreeSet<u32> {
    SqlText::new(sql).parameters()
}

/// `sql` with each parameter replaced by the expression that `expression` gives for its number.
///
/// The expression is put in parentheses, because a parameter is an atom and an expression is not: `a-$1` with `-1`
/// must become neither a comment nor another precedence. Everything else stays as it is written.
#[must_use]
pub fn substitute_parameters(sql: &str, mut expression: impl FnMut(u32) -> String) -> String {
    let mut result = String::with_capacity(sql.len());
    let mut copied = 0;
    for token in tokens(sql) {
        if let TokenKind::Parameter(number) = token.kind {
            result.push_str(&sql[copied..token.start]);
            result.push('(');
            result.push_str(&expression(number));
            result.push(')');
            copied = token.end();
        }
    }
    result.push_str(&sql[copied..]);
    result
}

/// `sql` without the semicolons and comments after its last token, so that it can stand in parentheses.
#[must_use]
pub fn without_final_semicolon(sql: &str) -> &str {
    // Every attempt asks, and hardly any statement has any: they are seen by its last line.
    let last_line = sql.trim_end().lines().next_back().unwrap_or_default();
    if ![";", "--", "*/"].iter().any(|sign| last_line.contains(sign)) {
        return sql;
    }
    let end = tokens(sql).iter().rev().find(|token| token.text != ";").map_or(0, Token::end);
    &sql[..end]
}

/// How many statements `sql` holds: what semicolons separate, empty ones not counted.
#[must_use]
pub fn statement_count(sql: &str) -> usize {
    SqlText::new(sql).statement_count()
}

/// The word that says what the statement is (`select`, `with`, `insert`, …), in lower case; opening parentheses before
/// it are passed over. `None` when the text begins with something else or has no token.
#[must_use]
pub fn leading_keyword(sql: &str) -> Option<String> {
    SqlText::new(sql).leading_keyword()
}

struct Scanner<'sql> {
    sql: &'sql str,
    position: usize,
    /// After a single-quoted string: whether a backslash escapes in its continuation.
    continuable: Option<bool>,
}

/// What lay between two tokens.
#[derive(Default)]
struct Gap {
    line_break: bool,
    block_comment: bool,
    /// The beginning of a block comment without an end.
    unterminated_at: Option<usize>,
}

impl<'sql> Scanner<'sql> {
    fn byte(&self, position: usize) -> Option<u8> {
        self.sql.as_bytes().get(position).copied()
    }

    fn token(&mut self, kind: TokenKind, start: usize, end: usize) -> Option<Token<'sql>> {
        self.position = end;
        Some(Token { kind, text: &self.sql[start..end], start })
    }

    /// A token that lacks its end and therefore takes the rest of the text.
    fn unterminated(&mut self, start: usize) -> Option<Token<'sql>> {
        self.token(TokenKind::Malformed, start, self.sql.len())
    }

    fn next_token(&mut self) -> Option<Token<'sql>> {
        let gap = self.skip_gap();
        let continuation = self.continuable.take().filter(|_| gap.line_break && !gap.block_comment);
        if let Some(start) = gap.unterminated_at {
            return self.unterminated(start);
        }
        let start = self.position;
        let next = self.byte(start + 1);
        match self.byte(start)? {
            b'\'' => match continuation {
                Some(backslash) => self.string(TokenKind::StringContinuation, start, 0, backslash),
                None => self.string(TokenKind::String, start, 0, false),
            },
            b'"' => self.quoted_identifier(start, 0),
            b'e' | b'E' if next == Some(b'\'') => self.string(TokenKind::String, start, 1, true),
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if next == Some(b'\'') => {
                self.string(TokenKind::String, start, 1, false)
            }
            b'u' | b'U' if next == Some(b'&') && self.byte(start + 2) == Some(b'\'') => {
                self.string(TokenKind::String, start, 2, false)
            }
            b'u' | b'U' if next == Some(b'&') && self.byte(start + 2) == Some(b'"') => self.quoted_identifier(start, 2),
            b'$' => self.dollar(start),
            b'0'..=b'9' => self.number(start),
            b'.' if next.is_some_and(|next| next.is_ascii_digit()) => self.number(start),
            b'.' if next == Some(b'.') => self.token(TokenKind::Punctuation, start, start + 2),
            b':' if matches!(next, Some(b':' | b'=')) => self.token(TokenKind::Punctuation, start, start + 2),
            b'(' | b')' | b'[' | b']' | b',' | b';' | b'.' | b':' => {
                self.token(TokenKind::Punctuation, start, start + 1)
            }
            byte if is_operator(byte) => self.operator(start),
            byte if is_word_start(byte) => self.token(TokenKind::Word, start, self.word_end(start)),
            _ => self.token(TokenKind::Malformed, start, start + 1),
        }
    }

    /// Passes over white space and comments.
    fn skip_gap(&mut self) -> Gap {
        let mut gap = Gap::default();
        while let Some(byte) = self.byte(self.position) {
            let next = self.byte(self.position + 1);
            if is_space(byte) {
                gap.line_break |= is_line_break(byte);
                self.position += 1;
            } else if byte == b'-' && next == Some(b'-') {
                while self.byte(self.position).is_some_and(|byte| !is_line_break(byte)) {
                    self.position += 1;
                }
            } else if byte == b'/' && next == Some(b'*') {
                gap.block_comment = true;
                let Some(end) = self.block_comment_end() else {
                    gap.unterminated_at = Some(self.position);
                    return gap;
                };
                self.position = end;
            } else {
                break;
            }
        }
        gap
    }

    /// The end of the block comment that begins at the position; they nest.
    fn block_comment_end(&self) -> Option<usize> {
        let mut depth = 0_usize;
        let mut position = self.position;
        loop {
            match (self.byte(position)?, self.byte(position + 1)?) {
                (b'/', b'*') => depth += 1,
                (b'*', b'/') => depth -= 1,
                _ => {
                    position += 1;
                    continue;
                }
            }
            position += 2;
            if depth == 0 {
                return Some(position);
            }
        }
    }

    /// The position after the closing `quote` of what opens before `position`; a doubled quote does not close.
    fn closing(&self, mut position: usize, quote: u8, backslash: bool) -> Option<usize> {
        loop {
            let byte = self.byte(position)?;
            position += if byte == quote {
                if self.byte(position + 1) != Some(quote) {
                    return Some(position + 1);
                }
                2
            } else if byte == b'\\' && backslash {
                2
            } else {
                1
            };
        }
    }

    /// A single-quoted string whose quote stands `prefix` bytes after `start`.
    fn string(&mut self, kind: TokenKind, start: usize, prefix: usize, backslash: bool) -> Option<Token<'sql>> {
        match self.closing(start + prefix + 1, b'\'', backslash) {
            Some(end) => {
                self.continuable = Some(backslash);
                self.token(kind, start, end)
            }
            None => self.unterminated(start),
        }
    }

    fn quoted_identifier(&mut self, start: usize, prefix: usize) -> Option<Token<'sql>> {
        match self.closing(start + prefix + 1, b'"', false) {
            Some(end) => self.token(TokenKind::QuotedIdentifier, start, end),
            None => self.unterminated(start),
        }
    }

    /// `$1`, `$tag$…$tag$` or a stray dollar sign.
    fn dollar(&mut self, start: usize) -> Option<Token<'sql>> {
        if self.byte(start + 1).is_some_and(|byte| byte.is_ascii_digit()) {
            let mut end = start + 1;
            while self.byte(end).is_some_and(|byte| byte.is_ascii_digit()) {
                end += 1;
            }
            let number = self.sql[start + 1..end].parse().unwrap_or(u32::MAX);
            return self.unless_junk(TokenKind::Parameter(number), start, end);
        }
        let mut tag_end = start + 1;
        if self.byte(tag_end).is_some_and(is_word_start) {
            while self.byte(tag_end).is_some_and(|byte| is_word_part(byte) && byte != b'$') {
                tag_end += 1;
            }
        }
        if self.byte(tag_end) != Some(b'$') {
            return self.token(TokenKind::Malformed, start, start + 1);
        }
        let tag = &self.sql[start..=tag_end];
        match self.sql[tag_end + 1..].find(tag) {
            Some(length) => self.token(TokenKind::String, start, tag_end + 1 + length + tag.len()),
            None => self.unterminated(start),
        }
    }

    /// A decimal number, or `0x…`, `0o…`, `0b…`; single underscores may stand between digits.
    fn number(&mut self, start: usize) -> Option<Token<'sql>> {
        let radix: Option<fn(u8) -> bool> = match (self.byte(start), self.byte(start + 1)) {
            (Some(b'0'), Some(b'x' | b'X')) => Some(|byte| byte.is_ascii_hexdigit()),
            (Some(b'0'), Some(b'o' | b'O')) => Some(|byte| matches!(byte, b'0'..=b'7')),
            (Some(b'0'), Some(b'b' | b'B')) => Some(|byte| matches!(byte, b'0' | b'1')),
            _ => None,
        };
        if let Some(is_digit) = radix {
            let end = self.digits_end(start + 2, is_digit);
            // Without a digit the letter is what follows the number 0.
            let end = if end == start + 2 { start + 1 } else { end };
            return self.unless_junk(TokenKind::Number, start, end);
        }
        let is_digit: fn(u8) -> bool = |byte| byte.is_ascii_digit();
        let mut end = self.digits_end(start, is_digit);
        // `1..2` is a range of PL/pgSQL: the number ends before both dots.
        if self.byte(end) == Some(b'.') && self.byte(end + 1) != Some(b'.') {
            end += 1;
            if self.byte(end).is_some_and(is_digit) {
                end = self.digits_end(end, is_digit);
            }
        }
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            if self.byte(end + 1 + sign).is_some_and(is_digit) {
                end = self.digits_end(end + 1 + sign, is_digit);
            }
        }
        self.unless_junk(TokenKind::Number, start, end)
    }

    /// The end of the digits from `position`; a single underscore may stand before each.
    fn digits_end(&self, mut position: usize, is_digit: impl Fn(u8) -> bool) -> usize {
        loop {
            let underscore = usize::from(self.byte(position) == Some(b'_'));
            if !self.byte(position + underscore).is_some_and(&is_digit) {
                return position;
            }
            position += underscore + 1;
        }
    }

    /// The token, unless a word follows without a gap: PostgreSQL refuses `1abc` and `$1abc`.
    fn unless_junk(&mut self, kind: TokenKind, start: usize, end: usize) -> Option<Token<'sql>> {
        if self.byte(end).is_some_and(is_word_start) {
            return self.token(TokenKind::Malformed, start, self.word_end(end));
        }
        self.token(kind, start, end)
    }

    fn word_end(&self, mut position: usize) -> usize {
        while self.byte(position).is_some_and(is_word_part) {
            position += 1;
        }
        position
    }

    /// The longest run of operator characters, cut before a comment; `+` and `-` at its end belong to what follows
    /// unless the operator has a character that the SQL standard does not use (so `a*-1` is `a * -1`).
    fn operator(&mut self, start: usize) -> Option<Token<'sql>> {
        let mut end = start + 1;
        while self.byte(end).is_some_and(is_operator) && !self.comment_begins(end) {
            end += 1;
        }
        let run = &self.sql.as_bytes()[start..end];
        if !run.iter().any(|byte| b"~!@#^&|`?%".contains(byte)) {
            while end > start + 1 && matches!(self.byte(end - 1), Some(b'+' | b'-')) {
                end -= 1;
            }
        }
        self.token(TokenKind::Operator, start, end)
    }

    fn comment_begins(&self, position: usize) -> bool {
        matches!((self.byte(position), self.byte(position + 1)), (Some(b'-'), Some(b'-')) | (Some(b'/'), Some(b'*')))
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

const fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

const fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

const fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}
