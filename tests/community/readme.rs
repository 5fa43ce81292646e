//! The README holds what it says: its commands are real, its files exist, its code is the code.

use std::path::{Path, PathBuf};

use community::command_line::{Verb, application};

const README: &str = include_str!("../../README.md");
const CONTINUOUS_INTEGRATION: &str = include_str!("../../.ci/run");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The fenced blocks of that language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// What stands between backquotes, outside of blocks.
fn quoted() -> Vec<&'static str> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in README.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// The words of a command line as a shell would make them, quotes included.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for (position, piece) in part.split(' ').enumerate() {
            if position > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_is_understood() {
    let shown = blocks("console").into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    let mentioned = quoted().into_iter().filter(|text| text.split(' ').count() > 1);
    let commands: Vec<&str> = shown.chain(mentioned).filter(|line| line.starts_with("community ")).collect();
    assert!(commands.len() > 15, "only {} commands were found", commands.len());
    for command in commands {
        // Words in capitals stand for something.
        let example =
            command.replace("FILE…", "file").replace("INSTANT", "2026-11-22T11:08:29Z").replace("ZONE", "UTC");
        if let Err(error) = karat::cli::parse::<Verb>(&application(), words(&example)) {
            assert!(!error.use_stderr(), "`{command}`: {error}");
        }
    }
}

#[test]
fn the_two_commands_are_there_and_continuous_integration_calls_the_second() {
    let commands = blocks("sh");
    assert!(commands.contains(&"cargo run -- up --demo"));
    assert!(commands.contains(&"cargo test --workspace"));
    assert!(CONTINUOUS_INTEGRATION.lines().any(|line| line.trim().starts_with("cargo test --workspace ")));
}

#[test]
fn files_that_are_mentioned_exist() {
    let places = ["src/", "tests/", "assets/", "bench/", "examples/", "migrations/", ".ci/"];
    let is_place = |text: &str| places.iter().any(|place| text.starts_with(place)) && !text.contains(['…', '*', '<']);
    let walkthrough = ["inputs.rs", "write.rs", "checks.rs"];
    let mut found = 0;
    for text in quoted() {
        let path = if walkthrough.contains(&text) { format!("src/engine/{text}") } else { text.to_owned() };
        if is_place(&path) {
            assert!(root().join(&path).exists(), "README.md mentions `{text}`, which does not exist");
            found += 1;
        }
    }
    assert!(found > 30, "only {found} files were found");
    let linked = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in linked.filter(|link| !link.starts_with('#') && !link.contains("://")) {
        assert!(root().join(link).exists(), "README.md links to {link}, which does not exist");
    }
}

#[test]
fn links_within_the_page_lead_to_headings() {
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let anchors: Vec<String> = README
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches(['#', ' '])))
        .collect();
    for link in README.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(anchors.iter().any(|anchor| anchor == link), "there is no heading for #{link}");
    }
}

#[test]
fn the_example_is_the_code() {
    for (language, file) in
        [("rust", "assets/gold/daily_active_users.rs"), ("sql", "assets/gold/daily_active_users.sql")]
    {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for block in blocks(language) {
            assert!(text.contains(block), "README.md shows something else than {file}:\n{block}");
        }
    }
}

#[test]
fn exit_codes_and_variables_are_all_there() {
    for exit in 0..=5 {
        assert!(README.contains(&format!("\n| {exit} | ")), "exit code {exit}");
    }
    for variable in ["DATABASE_URL", "KARAT_DATA", "KARAT_ZONE", "KARAT_FIRST_DAY", "KARAT_PG_BIN", "KARAT_NO_DOWNLOAD"]
    {
        assert!(README.contains(&format!("\n| `{variable}` | ")), "{variable}");
    }
}
