//! Every route that the server has, from its sources and from the description of its API.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// The methods that routes are made with.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `GET /runs/{run_id}` for each route and method.
pub(crate) fn declared() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for forbidden in [".nest_service(", ".route_service(", ".fallback_service("] {
                assert!(!text.contains(forbidden), "{}: {forbidden} hides routes", path.display());
            }
            found.extend(routes_of(&text));
        }
    }
    found
}

/// What `.route("PATH", METHOD(…).METHOD(…))` registers.
fn routes_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in text.split(".route(").skip(1) {
        let mut depth = 1;
        let end = piece.find(|char| {
            depth += match char {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let call = &piece[..end.expect("the call ends")];
        let mut quoted = call.split('"');
        let path = quoted.nth(1).expect("the path is written out");
        let handlers = quoted.next().expect("the methods follow");
        let before = found.len();
        let begins = |at: usize| !handlers[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_');
        let has = |method: &str| handlers.match_indices(&format!("{method}(")).any(|(at, _)| begins(at));
        assert!(!has("any") && !has("on"), "a route says which methods it has: {call}");
        for method in METHODS {
            if has(method) {
                found.push(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert!(found.len() > before, "no method in {call}");
    }
    found
}

/// What the description of the API has.
pub(crate) fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys().filter(|method| METHODS.contains(&method.as_str()));
        methods.map(move |method| format!("{} /api/v1{path}", method.to_uppercase()))
    });
    operations.collect()
}

#[test]
fn routes_are_found_however_they_are_written() {
    let text = r#"
        Router::new().route("/a", get(a)).route(
            "/b/{id}",
            axum::routing::post(b).delete(async || budget(1)),
        )"#;
    assert_eq!(routes_of(text), ["GET /a", "POST /b/{id}", "DELETE /b/{id}"]);
}
