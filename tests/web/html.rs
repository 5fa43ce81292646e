//! Whether what is answered is sound HTML: what a browser would have to guess at, and what leads nowhere, is a mistake.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::routes;

static ROUTES: LazyLock<BTreeSet<String>> = LazyLock::new(routes::declared);

/// Elements without an end.
const VOID: [&str; 6] = ["br", "hr", "img", "input", "link", "meta"];

/// Where an element of this kind has to stand directly in; elsewhere browsers move it.
const PARENTS: [(&str, &[&str]); 8] = [
    ("li", &["ul", "ol"]),
    ("tr", &["tbody", "thead", "table"]),
    ("td", &["tr"]),
    ("th", &["tr"]),
    ("dt", &["dl", "div"]),
    ("dd", &["dl", "div"]),
    ("option", &["select", "datalist"]),
    ("summary", &["details"]),
];

/// What ends a paragraph.
const BLOCKS: [&str; 16] = [
    "article", "aside", "details", "div", "dl", "form", "h1", "h2", "h3", "header", "nav", "ol", "pre", "section",
    "table", "ul",
];

/// Words that do not go with a one.
const SEVERAL: [&str; 25] = [
    "alerts",
    "assets",
    "attempts",
    "backfills",
    "days",
    "dependencies",
    "lines",
    "partitions",
    "results",
    "rows",
    "runs",
    "sessions",
    "slots",
    "steps",
    "tokens",
    "users",
    "versions",
    "workers",
    "Läufe",
    "Partitionen",
    "Schritte",
    "Tage",
    "Versionen",
    "Zeilen",
    "Zeitpunkte",
];

/// Forms that are no actions: they change nothing but what whoever sends them sees.
const NO_ACTIONS: [&str; 3] = ["/login", "/logout", "/preferences"];

/// An element as it begins.
pub(crate) struct Tag<'a> {
    pub(crate) name: &'a str,
    /// Names and values, as they are written.
    attributes: Vec<(&'a str, &'a str)>,
    /// Where it begins in the text.
    at: usize,
}

impl<'a> Tag<'a> {
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Every element, if they are nested as they should be, and the text between them.
fn elements(html: &str) -> Result<(Vec<Tag<'_>>, String), String> {
    let (mut tags, mut text, mut open) = (Vec::new(), String::new(), Vec::new());
    let mut pieces = html.split('<');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let at = piece.as_ptr() as usize - html.as_ptr() as usize - 1;
        let around = || html[at..].chars().take(160).collect::<String>();
        let (tag, after) = piece.split_once('>').ok_or_else(|| format!("a tag does not end: {}", around()))?;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> ends what did not begin: {}", around()));
            }
        } else if !tag.starts_with('!') {
            let tag = begun(tag, at).ok_or_else(|| format!("an attribute is wrong: {}", around()))?;
            if let Some(problem) = misplaced(&tag, &open) {
                return Err(format!("{problem}: {}", around()));
            }
            if !VOID.contains(&tag.name) && !piece[..piece.len() - after.len() - 1].ends_with('/') {
                open.push(tag.name);
            }
            tags.push(tag);
        }
        text.push(' ');
        text.push_str(after);
    }
    if open.is_empty() { Ok((tags, text)) } else { Err(format!("these do not end: {open:?}")) }
}

fn begun(tag: &str, at: usize) -> Option<Tag<'_>> {
    let tag = tag.trim_end_matches('/');
    let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            break;
        }
        let end = rest.find(|char: char| char == '=' || char.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | ':' | '_');
        if name.is_empty() || !name.chars().all(is_name) || attributes.iter().any(|(known, _)| *known == name) {
            return None;
        }
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => "",
            Some(quoted) => {
                let quote = quoted.chars().next().filter(|char| matches!(char, '"' | '\''))?;
                let (value, after) = quoted[1..].split_once(quote)?;
                rest = after;
                value
            }
        };
        attributes.push((name, value));
    }
    Some(Tag { name, attributes, at })
}

/// What is wrong with where it stands.
fn misplaced(tag: &Tag<'_>, open: &[&str]) -> Option<String> {
    let name = tag.name;
    let parent = *open.last()?;
    if open.contains(&"p") && BLOCKS.contains(&name) {
        return Some(format!("<{name}> ends the paragraph it stands in"));
    }
    if matches!(name, "a" | "form" | "button" | "p" | "h1" | "main") && open.contains(&name) {
        return Some(format!("<{name}> stands in another"));
    }
    let (_, parents) = PARENTS.iter().find(|(child, _)| *child == name)?;
    (!parents.contains(&parent)).then(|| format!("<{name}> stands in <{parent}>"))
}

/// Whether an address, as it is written in HTML, leads to a route of this method.
fn leads_somewhere(method: &str, address: &str) -> bool {
    let address = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(address.to_owned(), |address, (written, meant)| address.replace(written, meant));
    let path = address.split(['?', '#']).next().unwrap_or_default();
    ROUTES.iter().any(|route| {
        let (of_method, pattern) = route.split_once(' ').unwrap();
        let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
        of_method == method
            && loop {
                match (wanted.next(), given.next()) {
                    (None, None) => break true,
                    (Some(rest), Some(_)) if rest.starts_with("{*") => break true,
                    (Some(parameter), Some(part)) if parameter.starts_with('{') && !part.is_empty() => {}
                    (Some(part), Some(same)) if part == same => {}
                    _ => break false,
                }
            }
    })
}

/// What is wrong with an answer, be it a page or a part of one.
pub(crate) fn problems(html: &str) -> Vec<String> {
    let (tags, text) = match elements(html) {
        Ok(found) => found,
        Err(problem) => return vec![problem],
    };
    let mut found = Vec::new();
    let is_page = html.contains("<html");
    let mut ids = BTreeSet::new();
    for id in tags.iter().filter_map(|tag| tag.value("id")) {
        if !ids.insert(id) {
            found.push(format!("two elements are called {id}"));
        }
    }
    for tag in &tags {
        if is_page {
            for name in ["for", "list", "aria-labelledby", "aria-describedby"] {
                for id in tag.value(name).unwrap_or_default().split_whitespace().filter(|id| !ids.contains(id)) {
                    found.push(format!("<{} {name}> means {id:?}, which is not there", tag.name));
                }
            }
        }
        let posts = tag.name == "form" && tag.value("method") == Some("post");
        for (name, method) in [
            ("href", "GET"),
            ("src", "GET"),
            ("hx-get", "GET"),
            ("sse-connect", "GET"),
            ("action", if posts { "POST" } else { "GET" }),
        ] {
            let Some(address) = tag.value(name) else { continue };
            if let Some(id) = address.strip_prefix('#') {
                if is_page && !ids.contains(id) {
                    found.push(format!("{address} leads nowhere"));
                }
            } else if !leads_somewhere(method, address) {
                found.push(format!("<{} {name}=\"{address}\"> leads nowhere", tag.name));
            }
        }
    }
    if is_page && tags.iter().filter(|tag| tag.name == "h1").count() != 1 {
        found.push("a page has one heading".to_owned());
    }
    for (path, form) in actions(html, &tags) {
        // In a row of a table, the button itself says it.
        let is_told = form.contains("class=\"cli\"") || form.contains("title=\"lake ");
        if form.contains("<button") && !is_told {
            found.push(format!("what is sent to {path} has no command line"));
        }
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in SEVERAL {
        let several = format!("1 {word}");
        let is_one =
            |at: usize| !text[..at].ends_with(|char: char| char.is_ascii_digit() || ".,-\u{202f}".contains(char));
        if text.match_indices(&several).any(|(at, _)| is_one(at)) {
            found.push(format!("it says {several:?}"));
        }
    }
    found
}

/// The forms that change something, each with what stands between it and the next.
fn actions<'a>(html: &'a str, tags: &'a [Tag<'a>]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let forms: Vec<&Tag<'_>> = tags.iter().filter(|tag| tag.name == "form").collect();
    (0..forms.len()).filter_map(move |number| {
        let form = forms[number];
        let path = form.value("action").filter(|_| form.value("method") == Some("post"))?;
        let end = forms.get(number + 1).map_or(html.len(), |next| next.at);
        (!NO_ACTIONS.contains(&path)).then(|| (path, &html[form.at..end]))
    })
}

/// The addresses that a page sends something to when somebody presses a button.
pub(crate) fn offered(html: &str) -> Vec<String> {
    let (tags, _) = elements(html).unwrap();
    let offers = |form: &str| {
        let form = form.split("</form>").next().unwrap_or_default();
        form.split("<button").skip(1).any(|button| !button.split('>').next().unwrap_or_default().contains(" disabled"))
    };
    actions(html, &tags).filter(|(_, form)| offers(form)).map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn what_is_wrong_is_found() {
    let wrong = |html: &str| problems(html).join("; ");
    assert_eq!(wrong("<p>1 run <a href=\"/runs?state=live\">all</a><br><img src=\"/static/a.svg\" alt=\"\"></p>"), "");
    assert_eq!(wrong("<p><b>x</p>"), "</p> ends what did not begin: </p>");
    assert_eq!(wrong("<p>x"), "these do not end: [\"p\"]");
    assert_eq!(wrong("<p><ul></ul></p>"), "<ul> ends the paragraph it stands in: <ul></ul></p>");
    assert_eq!(wrong("<p title=\"a\"b\">x</p>"), "an attribute is wrong: <p title=\"a\"b\">x</p>");
    assert_eq!(wrong("<i id=\"a\"></i><i id=\"a\"></i>"), "two elements are called a");
    assert_eq!(wrong("<a href=\"/rums\">x</a>"), "<a href=\"/rums\"> leads nowhere");
    assert_eq!(wrong("<p>1 runs, 21 runs</p>"), "it says \"1 runs\"");
    let form = "<form method=\"post\" action=\"/runs/1/cancel\"><button>x</button></form>";
    assert_eq!(wrong(form), "what is sent to /runs/1/cancel has no command line");
    assert_eq!(offered(form), ["/runs/1/cancel"]);
    assert!(offered(&form.replace("<button", "<button disabled")).is_empty());
}
