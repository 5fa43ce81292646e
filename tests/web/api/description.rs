//! The description of the API, and whether it is true.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::server::{Answer, Server};

/// What pages show and no command prints.
const WITHOUT_COMMAND: [&str; 9] = [
    "get /assets/{asset}/automation",
    "get /assets/{asset}/columns",
    "get /assets/{asset}/figures",
    "get /overview",
    "get /pools",
    "get /runs/{run}/versions",
    "get /schedules/{schedule}/ticks",
    "get /tables",
    "get /timeline",
];

/// The operation that answers a request: its path in the description, and what is said of it.
fn operation<'d>(document: &'d Value, method: &str, path: &str) -> Option<(&'d str, &'d Value)> {
    let said: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        parts.len() == said.len() && parts.iter().zip(&said).all(|(part, said)| part.starts_with('{') || part == said)
    };
    let paths = document["paths"].as_object().unwrap();
    let path =
        paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.matches('{').count());
    path.and_then(|(template, item)| Some((template.as_str(), item.get(method)?)))
}

/// Fails when an answer has a status, or a media type, that the description does not know.
pub(super) fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let Some((template, operation)) = operation(document, method, path) else { return };
    let response = &operation["responses"][answer.status.to_string()];
    assert!(
        !response.is_null(),
        "{method} {template} answers {}, which is not described: {}",
        answer.status,
        answer.text
    );
    let response = match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    };
    let media_type = answer.header("content-type").split(';').next().unwrap();
    if !media_type.is_empty() {
        assert!(!response["content"][media_type].is_null(), "{method} {template}: {media_type} is not described");
    }
}

#[tokio::test]
async fn every_operation_is_described_in_full() {
    let server = Server::new().await;
    let document = server.get("/api/openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (200, "application/json"));
    let document = document.json();
    assert_eq!((&document["openapi"], &document["servers"][0]["url"]), (&"3.1.0".into(), &"/api/v1".into()));
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            let name = format!("{method} {path}");
            for part in ["summary", "operationId", "x-role"] {
                assert!(operation[part].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {part}");
            }
            let has_command = operation["x-command"].as_str().is_some_and(|text| !text.is_empty());
            assert_eq!(has_command, !WITHOUT_COMMAND.contains(&name.as_str()), "the command of {name}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name} bears the id of another");
            assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{name} belongs to no group");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in &parameters {
                let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described, "{name}: {} is not described", parameter["name"]);
            }
            let changes = method != "get" && operation["x-safe"] != true;
            let has_key = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
            assert_eq!(changes, has_key, "{name}");
            for status in ["400", "401", "403", "429", "503"] {
                assert!(!operation["responses"][status].is_null(), "{name} does not say when it answers {status}");
            }
            for placeholder in path.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
                let parameter = parameters.iter().find(|parameter| parameter["name"] == placeholder);
                assert!(parameter.is_some_and(|parameter| !parameter["example"].is_null()), "{name}: {placeholder}");
            }
        }
    }
    assert!(operations >= 45, "{operations} operations");
    // Whatever is referred to is there.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference} is described nowhere");
    }
}

#[tokio::test]
async fn what_is_described_is_there_and_nothing_else() {
    let server = Server::new().await;
    let document = server.get("/api/openapi.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        let address = path.replace("{alert}", "1").replace("{row}", "1").replace(['{', '}'], "");
        let answer = server.send(server.request(reqwest::Method::TRACE, &format!("/api/v1{address}"))).await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed: BTreeSet<String> =
            answer.header("allow").split(',').filter(|method| *method != "HEAD").map(str::to_ascii_lowercase).collect();
        assert_eq!(allowed, methods.into_iter().map(str::to_owned).collect(), "{path}");
    }
}

#[tokio::test]
async fn people_read_the_same_on_a_page() {
    let server = Server::new().await;
    let document = server.get("/api/openapi.json").await.json();
    let page = server.get("/api").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.text.contains(&format!("id=\"{id}\"")), "{id} is not on the page");
        }
    }
    for kind in ["nothing_found", "key_reused", "wrong_shape"] {
        assert!(page.text.contains(&format!("id=\"{kind}\"")), "{kind}");
    }
    for at in page.text.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let at = at.replace("%20", " ");
        let is_there =
            [at.clone(), at.replace(' ', "%20")].iter().any(|id| page.text.contains(&format!("id=\"{id}\"")));
        assert!(is_there || at == "content", "a link leads to #{at}, which is not there");
    }
    for needed in ["curl -H", "lake materialize SELECTION", "AlertMessage"] {
        assert!(page.text.contains(needed), "{needed}");
    }
    assert!(
        !page.text.contains("https://") && !page.text.contains("<script>"),
        "the page loads something from elsewhere"
    );
}
