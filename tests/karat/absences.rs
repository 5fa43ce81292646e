//! What the framework does not do, guarded by reading its sources.

use std::path::Path;

/// Every file below `directory` of the repository with one of these endings, with its path.
fn files(directory: &str, endings: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut waiting = vec![root.join(directory)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!found.is_empty(), "nothing was found in {directory}");
    found
}

/// The lines with what `forbidden` finds in them, comments aside, as `file:line: text`.
fn lines_with(files: &[(String, String)], forbidden: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        let comment = if name.ends_with(".sql") { "--" } else { "//" };
        for (index, line) in text.lines().enumerate() {
            if forbidden(line.split(comment).next().unwrap_or_default()) {
                found.push(format!("{name}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    found
}

fn reads_a_clock(line: &str) -> bool {
    ["Utc::now", "Local::now", "SystemTime::now"].iter().any(|call| line.contains(call))
}

/// A call of PostgreSQL's clock; `clock.now()` is a call of Rust.
fn asks_the_server_for_the_time(line: &str) -> bool {
    let line = line.to_lowercase();
    let own = line.match_indices("now()").any(|(start, _)| {
        !line[..start].ends_with(|before: char| before == '.' || before == '_' || before.is_alphanumeric())
    });
    own || ["current_timestamp", "current_date", "localtimestamp", "statement_timestamp", "transaction_timestamp"]
        .iter()
        .any(|word| line.contains(word))
}

#[test]
fn only_the_clock_reads_the_clock() {
    let mut sources = files("src", &["rs"]);
    sources.extend(files("assets", &["rs"]));
    sources.retain(|(name, _)| name != "src/clock.rs");
    assert_eq!(lines_with(&sources, reads_a_clock), [] as [String; 0], "take a `Clock`, or an instant");
}

#[test]
fn rules_declarations_and_state_do_not_even_measure_time() {
    for layer in ["src/core", "src/asset", "src/store"] {
        let found = lines_with(&files(layer, &["rs"]), |line| line.contains("Instant::now"));
        assert_eq!(found, [] as [String; 0]);
    }
}

#[test]
fn times_in_the_state_come_from_the_callers_clock() {
    let mut statements = files("src/store", &["rs", "sql"]);
    statements.extend(files("migrations/karat", &["sql"]));
    assert_eq!(
        lines_with(&statements, asks_the_server_for_the_time),
        [] as [String; 0],
        "bind the time as a parameter"
    );
}

#[test]
fn nothing_that_can_be_counted_is_stored() {
    let counter = |line: &str| {
        let column = line.split_whitespace().next().unwrap_or_default();
        let counts = ["slot", "free", "progress", "remaining", "done", "total", "counter", "running", "stale"];
        line.starts_with("    ") && counts.iter().any(|word| column.starts_with(word))
    };
    let found = lines_with(&files("migrations/karat", &["sql"]), counter);
    assert_eq!(found, [] as [String; 0], "slots, progress and staleness are queries: a stored count can be wrong");
}

#[test]
fn what_is_forbidden_would_be_found() {
    let file = |line: &str| vec![("src/x.rs".to_owned(), line.to_owned())];
    assert_eq!(
        lines_with(&file("let a = 1;\nlet b = Utc::now();"), reads_a_clock),
        ["src/x.rs:2: let b = Utc::now();"]
    );
    assert!(lines_with(&file("// Utc::now()"), reads_a_clock).is_empty());
    for statement in ["set at = now() where", "select current_timestamp", "default NOW(),"] {
        assert!(asks_the_server_for_the_time(statement), "{statement}");
    }
    assert!(!asks_the_server_for_the_time("f(self.clock.now(), from_now())"));
}
