//! Who may use whom. Each rule reads the sources and answers with one sentence per violation.

mod rust_text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use karat::core::sql_text;

use rust_text::{RustText, Word};

/// A layer of the framework, the layers it may use besides itself, and why no others.
struct Layer {
    name: &'static str,
    uses: &'static [&'static str],
    because: &'static str,
}

const LAYERS: [Layer; 11] = [
    Layer { name: "clock", uses: &[], because: "the clock stands below everything" },
    Layer { name: "core", uses: &["clock"], because: "the rules are pure: no input or output, no database" },
    Layer { name: "asset", uses: &["clock", "core"], because: "a declaration knows nothing of how it is carried out" },
    Layer { name: "store", uses: &["clock", "core", "asset"], because: "the store keeps state and does not act on it" },
    Layer {
        name: "engine",
        uses: &["clock", "core", "asset", "store"],
        because: "the engine carries out and does not decide when",
    },
    Layer {
        name: "daemon",
        uses: &["clock", "core", "asset", "store", "engine"],
        because: "reconcilers work without anybody asking",
    },
    Layer {
        name: "service",
        uses: &["clock", "core", "asset", "store", "engine", "daemon", "postgres"],
        because: "what a person can ask for does not depend on how they ask",
    },
    Layer {
        name: "web",
        uses: &["clock", "core", "asset", "store", "engine", "daemon", "service", "postgres"],
        because: "pages and commands are two ways to the same service",
    },
    Layer {
        name: "cli",
        uses: &["clock", "core", "asset", "store", "engine", "daemon", "service", "postgres"],
        because: "pages and commands are two ways to the same service",
    },
    Layer { name: "postgres", uses: &["clock"], because: "the embedded server knows nothing of Karat" },
    Layer {
        name: "testing",
        uses: &["clock", "core", "asset", "store", "engine", "daemon", "service", "web", "cli", "postgres"],
        because: "test helpers are for tests",
    },
];

/// Root modules that only gather what others declare, and so belong to no layer.
const GATHERING: [&str; 2] = ["lib", "prelude"];

/// What the framework must not know of: words of the platform that is built with it.
const PLATFORM_WORDS: [&str; 9] =
    ["discord", "minecraft", "cs2", "counter-strike", "steamid", "rcon", "twitch", "guild", "bronze."];

/// The files of a source tree by path relative to its root.
type Tree = BTreeMap<String, String>;

#[test]
fn the_sources_keep_to_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tree = Tree::new();
    for directory in ["src", "assets", "examples", "web", "migrations"] {
        read(root, &root.join(directory), &mut tree);
    }
    assert!(tree.contains_key("src/core/key.rs") && tree.contains_key("assets/main.rs"), "the sources were not found");
    let violations = violations(&tree);
    assert!(violations.is_empty(), "{} violation(s):\n{}\n", violations.len(), violations.join("\n"));
}

fn read(root: &Path, path: &Path, tree: &mut Tree) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            read(root, &entry.unwrap().path(), tree);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
        let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        tree.insert(relative, std::fs::read_to_string(path).unwrap());
    }
}

fn violations(tree: &Tree) -> Vec<String> {
    let tables = state_tables(tree);
    let mut found = Vec::new();
    for (path, text) in tree {
        if path.starts_with("migrations/") {
            continue;
        }
        if let Some(below_source) = path.strip_prefix("src/") {
            platform_words(path, text, &mut found);
            if path.ends_with(".rs") {
                let root_module = below_source.split(['/', '.']).next().unwrap_or_default();
                uses_of_layers(path, root_module, &RustText::of(text), &mut found);
            }
        }
        if path.starts_with("assets/") && path.ends_with(".rs") {
            private_doors(path, &RustText::of(text), &mut found);
        }
        if !path.starts_with("src/store/") {
            state_in_sql(path, text, &tables, &mut found);
        }
    }
    found
}

/// `core` uses nothing of `store`, and so on.
fn uses_of_layers(path: &str, root_module: &str, text: &RustText, found: &mut Vec<String>) {
    if GATHERING.contains(&root_module) {
        return;
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == root_module) else {
        found.push(format!(
            "{path}:1: `{root_module}` is no layer: name it and what it may use in tests/karat/layering.rs"
        ));
        return;
    };
    for (line, used) in used_root_modules(path, text) {
        if used == layer.name || layer.uses.contains(&used.as_str()) {
            continue;
        }
        let reason = if LAYERS.iter().any(|layer| layer.name == used) {
            layer.because
        } else {
            "only layers may be used, by their full path"
        };
        found.push(format!("{path}:{line}: `{}` may not use `{used}`: {reason}", layer.name));
    }
}

/// The first name after the crate's root in each path of a file, with its line. Macros are not modules and are left out.
fn used_root_modules(path: &str, text: &RustText) -> Vec<(usize, String)> {
    let mut uses = Vec::new();
    let words = &text.words;
    for (index, word) in words.iter().enumerate() {
        let follows =
            |offset: usize, expected: &str| words.get(index + offset).is_some_and(|word| word.text == expected);
        let preceded = index > 0 && words[index - 1].text == "::";
        let rest = match word.text.as_str() {
            "crate" | "karat" if follows(1, "::") && !preceded => index + 2,
            "super" if follows(1, "::") && !preceded => {
                let supers = words[index..].chunks(2).take_while(|pair| pair[0].text == "super").count();
                if supers < module_depth(path) + word.inline_modules {
                    continue;
                }
                index + 2 * supers
            }
            _ => continue,
        };
        for first in first_names(words, rest) {
            uses.push((words[first].line, words[first].text.clone()));
        }
    }
    uses
}

/// How far below the crate's root the module of a file is.
fn module_depth(path: &str) -> usize {
    let below = path.trim_start_matches("src/").trim_end_matches(".rs");
    below.strip_suffix("/mod").unwrap_or(below).split('/').count()
}

/// The positions of the names that begin a path or each path of a `{…}` group.
fn first_names(words: &[Word], start: usize) -> Vec<usize> {
    let text = |index: usize| words.get(index).map_or("", |word| word.text.as_str());
    if text(start) != "{" {
        let is_macro = text(start + 1) == "!";
        return if start < words.len() && !is_macro { vec![start] } else { Vec::new() };
    }
    let mut names = Vec::new();
    let mut depth = 0;
    for index in start..words.len() {
        match text(index) {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && matches!(text(index - 1), "{" | ",") => names.push(index),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The framework does not name what is built with it, not even in a comment.
fn platform_words(path: &str, text: &str, found: &mut Vec<String>) {
    for (index, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for word in PLATFORM_WORDS {
            let whole = line.match_indices(word).any(|(start, _)| {
                let (before, after) = (&line[..start], &line[start + word.len()..]);
                let inside = |char: Option<char>| char.is_some_and(char::is_alphanumeric);
                // A schema counts only with a table after it; at the end of a sentence it is a mere word.
                !inside(before.chars().next_back()) && inside(after.chars().next()) == word.ends_with('.')
            });
            if whole {
                found.push(format!(
                    "{path}:{}: the framework may not name `{word}`: it knows nothing of the platform built with it",
                    index + 1
                ));
            }
        }
    }
}

/// The platform is an ordinary user of the framework.
fn private_doors(path: &str, text: &RustText, found: &mut Vec<String>) {
    let mut forbid = |line: usize, what: &str| {
        found.push(format!(
            "{path}:{line}: the platform may not {what}: it uses the framework's public interface like anybody else"
        ));
    };
    for (index, word) in text.words.iter().enumerate() {
        let text_at = |offset: usize| text.words.get(index + offset).map_or("", |word| word.text.as_str());
        if word.text == "#" && text_at(1) == "[" && text_at(2) == "path" {
            forbid(word.line, "take a file as a module by its path");
        }
        if word.text == "karat" && text_at(1) == "::" {
            for first in first_names(&text.words, index + 2) {
                let name = &text.words[first];
                if name.text.starts_with("__") {
                    forbid(name.line, &format!("use `karat::{}`", name.text));
                }
            }
        }
    }
    for literal in &text.literals {
        if literal.text.contains("../src/") {
            forbid(literal.line, &format!("include `{}`", literal.text));
        }
    }
}

/// The names of Karat's own tables and functions, from its migrations.
fn state_tables(tree: &Tree) -> BTreeSet<String> {
    let mut tables: BTreeSet<String> =
        ["run", "step", "attempt", "materialization", "backfill", "mark", "event", "worker", "migration"]
            .map(str::to_owned)
            .into();
    for (path, text) in tree {
        if path.starts_with("migrations/karat/") {
            tables.extend(names_in_karat(text).into_iter().map(|(_, name)| name));
        }
    }
    tables
}

/// The places in SQL, or in a text with SQL in it, where something of the schema `karat` is named.
fn names_in_karat(text: &str) -> Vec<(usize, String)> {
    let tokens = sql_text::tokens(text);
    let name = |token: &sql_text::Token<'_>| token.text.trim_matches('"').to_lowercase();
    tokens
        .windows(3)
        .filter(|three| name(&three[0]) == "karat" && three[1].text == ".")
        // In a sentence a space follows the dot.
        .filter(|three| three[0].end() == three[1].start && three[1].end() == three[2].start)
        .map(|three| (text[..three[0].start].matches('\n').count(), name(&three[2])))
        .collect()
}

/// Only `store` has SQL about orchestration state.
fn state_in_sql(path: &str, text: &str, tables: &BTreeSet<String>, found: &mut Vec<String>) {
    let mut check = |first_line: usize, sql: &str| {
        for (lines, name) in names_in_karat(sql) {
            if tables.contains(&name) {
                found.push(format!(
                    "{path}:{}: only `store` may have SQL on `karat.{name}`: orchestration state has one keeper",
                    first_line + lines
                ));
            }
        }
    };
    if path.ends_with(".sql") {
        check(1, text);
    } else {
        for literal in RustText::of(text).literals {
            // Without the escape sequences of Rust, and on the same lines.
            check(literal.line, &literal.text.replace("\\n", "  ").replace("\\t", "  ").replace("\\\"", "\""));
        }
    }
}

/// What is found in a tree of one file, and of a migration that makes `karat.special`.
fn found_in(path: &str, text: &str) -> Vec<String> {
    let migration = "create table karat.special (id bigint);".to_owned();
    let tree =
        Tree::from([("migrations/karat/0001_state.sql".to_owned(), migration), (path.to_owned(), text.to_owned())]);
    violations(&tree)
}

#[test]
fn a_use_of_a_higher_layer_is_found_however_it_is_written() {
    let pure = "the rules are pure: no input or output, no database";
    let cases = [
        ("src/core/plan.rs", "//! x\n\nuse crate::store::Store;", 3, "core", "store", pure),
        ("src/core/plan.rs", "fn f() { crate::store::f() }", 1, "core", "store", pure),
        ("src/core/plan.rs", "use crate::{core::key, store::{a, b}};", 1, "core", "store", pure),
        ("src/core/plan.rs", "use crate::{\n  core::{key, time},\n  store,\n};", 3, "core", "store", pure),
        ("src/core/plan.rs", "pub(crate) use crate :: /* here */ store as s;", 1, "core", "store", pure),
        ("src/core/plan.rs", "use super::super::store::Store;", 1, "core", "store", pure),
        ("src/core/a/b.rs", "mod tests {\n use super::super::super::super::store::S; }", 2, "core", "store", pure),
        ("src/core/mod.rs", "use super::engine;", 1, "core", "engine", pure),
        ("src/core/plan.rs", "macro_rules! m { () => { $crate::store::f() } }", 1, "core", "store", pure),
        (
            "src/core/plan.rs",
            "const Q: char = '\"'; use crate::store::S; const R: char = '\"';",
            1,
            "core",
            "store",
            pure,
        ),
        ("src/core/plan.rs", "fn f<'a>(a: &'a str) -> &'a str { crate::web::f(a) }", 1, "core", "web", pure),
        ("src/core.rs", "use karat::postgres::start;", 1, "core", "postgres", pure),
        (
            "src/asset/x.rs",
            "use crate::engine::E;",
            1,
            "asset",
            "engine",
            "a declaration knows nothing of how it is carried out",
        ),
        (
            "src/store/x.rs",
            "use crate::engine::E;",
            1,
            "store",
            "engine",
            "the store keeps state and does not act on it",
        ),
        (
            "src/engine/x.rs",
            "use crate::daemon::D;",
            1,
            "engine",
            "daemon",
            "the engine carries out and does not decide when",
        ),
        (
            "src/daemon/x.rs",
            "use crate::service::S;",
            1,
            "daemon",
            "service",
            "reconcilers work without anybody asking",
        ),
        (
            "src/service.rs",
            "use crate::web::W;",
            1,
            "service",
            "web",
            "what a person can ask for does not depend on how they ask",
        ),
        ("src/web/x.rs", "use crate::cli::C;", 1, "web", "cli", "pages and commands are two ways to the same service"),
        ("src/cli/x.rs", "use crate::web::C;", 1, "cli", "web", "pages and commands are two ways to the same service"),
        (
            "src/postgres/x.rs",
            "use crate::core::key;",
            1,
            "postgres",
            "core",
            "the embedded server knows nothing of Karat",
        ),
        (
            "src/cli/x.rs",
            "use crate::testing::T;",
            1,
            "cli",
            "testing",
            "pages and commands are two ways to the same service",
        ),
        (
            "src/core/x.rs",
            "use crate::prelude::*;",
            1,
            "core",
            "prelude",
            "only layers may be used, by their full path",
        ),
    ];
    for (path, text, line, layer, used, because) in cases {
        assert_eq!(
            found_in(path, text),
            [format!("{path}:{line}: `{layer}` may not use `{used}`: {because}")],
            "{text}"
        );
    }
    assert_eq!(
        found_in("src/extra/mod.rs", ""),
        ["src/extra/mod.rs:1: `extra` is no layer: name it and what it may use in tests/karat/layering.rs"]
    );
}

#[test]
fn what_is_allowed_is_not_found() {
    let cases = [
        ("src/core/plan.rs", "use crate::clock::Clock; use crate::core::{key, time::{a, store}}; use super::key;"),
        ("src/core/plan.rs", "//! [`crate::store`]\n/* use crate::store; /* */ use crate::web; */ // crate::store\n"),
        (
            "src/core/plan.rs",
            "const A: &str = \"use crate::store; \\\" crate::web\"; const B: &str = r#\"crate::store\"#;",
        ),
        ("src/core/plan.rs", "mod tests { use super::*; use super::super::key; }"),
        ("src/core/mod.rs", "mod tests { use super::key; }"),
        ("src/core/plan.rs", "crate::table!(); use other_crate::store; use self::store; let crate_store = 1;"),
        ("src/lib.rs", "pub use crate::store::Store; pub use crate::web;"),
        ("src/prelude.rs", "pub use crate::asset::Asset;"),
        ("src/cli/x.rs", "use crate::service::S; use crate::store::T; use crate::postgres::start;"),
        ("src/testing/mod.rs", "use crate::cli::C; use crate::postgres::start; use crate::store::migrate;"),
        ("src/store/x.rs", "const SQL: &str = \"select 1 from karat.run\";"),
        ("src/store/sql/x.sql", "select 1 from karat.run"),
        ("src/core/x.rs", "/// of layers such as bronze. Discordant rconx guilds\nfn f() {}"),
        (
            "src/cli/x.rs",
            "/// select from karat.run\nconst A: &str = \"karat.toml, karat run, karat. Run, makarat.run\";",
        ),
        ("assets/gold/x.rs", "use karat::prelude::*; const SQL: &str = include_str!(\"x.sql\"); // discord"),
        ("assets/gold/x.sql", "select 1 from bronze.discord_messages -- karat.run"),
    ];
    for (path, text) in cases {
        assert_eq!(found_in(path, text), [] as [String; 0], "{text}");
    }
}

#[test]
fn state_outside_the_store_platform_words_and_private_doors_are_found() {
    let keeper = "orchestration state has one keeper";
    let knows = "it knows nothing of the platform built with it";
    let anybody = "it uses the framework's public interface like anybody else";
    let cases = [
        (
            "src/engine/x.rs",
            "\nconst SQL: &str = \"select 1\n from karat.run r\";",
            format!("src/engine/x.rs:3: only `store` may have SQL on `karat.run`: {keeper}"),
        ),
        (
            "src/engine/x.rs",
            r#"f("select\nkarat.run, \"karat\".\"step\"");"#,
            format!(
                "src/engine/x.rs:1: only `store` may have SQL on `karat.run`: {keeper}\n\
                 src/engine/x.rs:1: only `store` may have SQL on `karat.step`: {keeper}"
            ),
        ),
        (
            "src/engine/x.rs",
            "f(r#\"delete from \"karat\".\"step\"\"#);",
            format!("src/engine/x.rs:1: only `store` may have SQL on `karat.step`: {keeper}"),
        ),
        (
            "src/web/x.sql",
            "select\n* from Karat.Special",
            format!("src/web/x.sql:2: only `store` may have SQL on `karat.special`: {keeper}"),
        ),
        (
            "assets/bronze/x.sql",
            "select 1 from karat.mark",
            format!("assets/bronze/x.sql:1: only `store` may have SQL on `karat.mark`: {keeper}"),
        ),
        (
            "examples/x.rs",
            "f(\"select karat.worker\")",
            format!("examples/x.rs:1: only `store` may have SQL on `karat.worker`: {keeper}"),
        ),
        (
            "src/core/x.rs",
            "// As in Discord.",
            format!("src/core/x.rs:1: the framework may not name `discord`: {knows}"),
        ),
        (
            "src/core/x.rs",
            "\nfn minecraft_x() {}",
            format!("src/core/x.rs:2: the framework may not name `minecraft`: {knows}"),
        ),
        (
            "src/core/x.sql",
            "select 1 from bronze.messages",
            format!("src/core/x.sql:1: the framework may not name `bronze.`: {knows}"),
        ),
        (
            "assets/lib.rs",
            "#[path = \"x.rs\"]\nmod x;",
            format!("assets/lib.rs:1: the platform may not take a file as a module by its path: {anybody}"),
        ),
        (
            "assets/lib.rs",
            "use karat::{prelude::*, __private};",
            format!("assets/lib.rs:1: the platform may not use `karat::__private`: {anybody}"),
        ),
        (
            "assets/x/y.rs",
            "include!(\"../../src/core/key.rs\");",
            format!("assets/x/y.rs:1: the platform may not include `../../src/core/key.rs`: {anybody}"),
        ),
    ];
    for (path, text, expected) in cases {
        assert_eq!(found_in(path, text).join("\n"), expected, "{text}");
    }
}
