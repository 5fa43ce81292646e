//! A Rust source taken apart, as far as the rules of layering need it.

/// A Rust source without its comments, taken apart into words and string literals.
#[derive(Default)]
pub(super) struct RustText {
    /// Identifiers, `::`, and every other character that is not white space by itself.
    pub(super) words: Vec<Word>,
    /// String literals as written between their quotes.
    pub(super) literals: Vec<Literal>,
}

pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
    /// How many `mod name { … }` of this file are around it.
    pub(super) inline_modules: usize,
}

pub(super) struct Literal {
    pub(super) text: String,
    pub(super) line: usize,
}

impl RustText {
    pub(super) fn of(source: &str) -> Self {
        let mut result = Self::default();
        // For each open brace whether it is that of a module.
        let mut braces: Vec<bool> = Vec::new();
        let mut rest = source;
        let mut line = 1;
        while let Some(first) = rest.chars().next() {
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                block_comment_length(rest)
            } else if let Some((open, close)) = string_quotes(rest) {
                let body = &rest[open..];
                let end = if close == "\"" { escaped_end(body) } else { body.find(&close).unwrap_or(body.len()) };
                result.literals.push(Literal { text: body[..end].to_owned(), line });
                (open + end + close.len()).min(rest.len())
            } else if first == '\'' {
                character_length(rest)
            } else if is_word(first) {
                rest.find(|char| !is_word(char)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let text = &rest[..length];
            rest = &rest[length..];
            let first_line = line;
            line += text.matches('\n').count();
            if first.is_whitespace() || text.starts_with("//") || text.starts_with("/*") || text.contains(['"', '\'']) {
                continue;
            }
            let count = result.words.len();
            match text {
                "{" => braces.push(count >= 2 && result.words[count - 2].text == "mod"),
                "}" => drop(braces.pop()),
                _ => {}
            }
            let inline_modules = braces.iter().filter(|is_module| **is_module).count();
            result.words.push(Word { text: text.to_owned(), line: first_line, inline_modules });
        }
        result
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// For a string literal the length of what opens it and the text that closes it.
fn string_quotes(text: &str) -> Option<(usize, String)> {
    for prefix in ["", "b", "c"] {
        let Some(rest) = text.strip_prefix(prefix) else { continue };
        if rest.starts_with('"') {
            return Some((prefix.len() + 1, "\"".to_owned()));
        }
        if let Some(raw) = rest.strip_prefix('r') {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            if raw[hashes..].starts_with('"') {
                return Some((prefix.len() + 2 + hashes, format!("\"{}", "#".repeat(hashes))));
            }
        }
    }
    None
}

/// The length of the text before its closing quote.
fn escaped_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return index,
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    text.len()
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut position = 0;
    loop {
        let rest = &text.as_bytes()[position..];
        match rest {
            [b'/', b'*', ..] => depth += 1,
            [b'*', b'/', ..] => depth -= 1,
            [] => return position,
            _ => {
                position += 1;
                continue;
            }
        }
        position += 2;
        if depth == 0 {
            return position;
        }
    }
}

/// The length of a character literal, or of the quote that begins a lifetime.
fn character_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            text[escaped + 1..].find('\'').map_or(text.len(), |end| escaped + 1 + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}
