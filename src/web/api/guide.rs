//! The description of the API: as a document for programs, and as a page for people made from it.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Extension;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use super::{BASE, kept};
use crate::web::App;
use crate::web::access::Viewer;
use crate::web::page::{Page, PageResult, rendered};

/// The page and what is on it.
#[derive(Template)]
#[template(path = "api.html")]
struct Guide {
    page: Page,
    about: Vec<String>,
    groups: Vec<Group>,
    problems: Vec<(&'static str, &'static str, u16, &'static str)>,
    webhook: String,
    webhook_about: String,
    shapes: Vec<Shape>,
}

struct Group {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: String,
    role: String,
    command: Option<String>,
    curl: String,
    parameters: Vec<Parameter>,
    body: Option<Link>,
    answers: Vec<Given>,
}

struct Parameter {
    name: String,
    place: String,
    form: String,
    about: String,
    required: bool,
}

/// What is answered with a status.
struct Given {
    status: String,
    about: String,
    shape: Option<Link>,
}

/// The name of a shape, and whether it is described below.
struct Link {
    text: String,
    to: Option<String>,
}

/// A shape of JSON.
struct Shape {
    name: String,
    about: String,
    fields: Vec<Field>,
    words: Vec<String>,
}

struct Field {
    name: String,
    form: Link,
    about: String,
    required: bool,
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn referenced(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.rsplit('/').next()
}

/// A form in a few words: `string`, `array of RunView`, `RunView or null`.
fn form(schema: &Value) -> Link {
    if let Some(name) = referenced(schema) {
        return Link { text: name.to_owned(), to: Some(name.to_owned()) };
    }
    if let Some(items) = schema.get("items") {
        let Link { text, to } = form(items);
        return Link { text: format!("array of {text}"), to };
    }
    for joint in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema.get(joint).and_then(Value::as_array) {
            let links: Vec<Link> = parts.iter().map(form).collect();
            let word = if joint == "allOf" { " and " } else { " or " };
            let to = links.iter().find_map(|link| link.to.clone());
            return Link { text: links.iter().map(|link| link.text.as_str()).collect::<Vec<_>>().join(word), to };
        }
    }
    let mut text = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    };
    if let Some(format) = schema.get("format").and_then(Value::as_str).filter(|format| !format.starts_with("int")) {
        text.push_str(&format!(" ({format})"));
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    if let (Some(least), Some(most)) = (bound("minimum"), bound("maximum")) {
        text.push_str(&format!(" {least}…{most}"));
    }
    Link { text, to: None }
}

fn parameters(operation: &Value) -> Vec<Parameter> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.map(|parameter| Parameter {
        name: text(parameter, "name"),
        place: text(parameter, "in"),
        form: form(&parameter["schema"]).text,
        about: text(parameter, "description"),
        required: parameter["required"] == true,
    })
    .collect()
}

fn answers(document: &Value, operation: &Value) -> Vec<Given> {
    let all = operation["responses"].as_object().into_iter().flatten();
    all.map(|(status, response)| {
        let response = referenced(response).map_or(response, |name| &document["components"]["responses"][name]);
        let content = response["content"].as_object().into_iter().flatten().next();
        Given {
            status: status.clone(),
            about: text(response, "description"),
            shape: content.map(|(media_type, content)| match content["schema"].as_object() {
                Some(_) if media_type.contains("json") => form(&content["schema"]),
                _ => Link { text: media_type.clone(), to: None },
            }),
        }
    })
    .collect()
}

/// A line to try it with.
fn curl(document: &Value, method: &str, path: &str, operation: &Value) -> String {
    let mut address = path.to_owned();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = text(parameter, "name");
        let example = match parameter.get("example") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => continue,
        };
        match parameter["in"].as_str() {
            Some("path") => address = address.replace(&format!("{{{name}}}"), &example),
            Some("query") => address.push_str(&format!("?{name}={example}")),
            _ => {}
        }
    }
    let mut line = "curl -H \"Authorization: Bearer $KARAT_TOKEN\"".to_owned();
    if let Some(content) = operation.pointer("/requestBody/content/application~1json") {
        let named = referenced(&content["schema"]).map(|name| &document["components"]["schemas"][name]["example"]);
        let example = named.filter(|example| !example.is_null()).map_or_else(|| "{}".to_owned(), Value::to_string);
        line.push_str(&format!(" --json '{example}'"));
    } else if method == "post" {
        line.push_str(" -X POST");
    }
    format!("{line} \"$KARAT_SERVER{BASE}{address}\"")
}

fn operation(document: &Value, method: &str, path: &str, operation: &Value) -> Operation {
    Operation {
        id: text(operation, "operationId"),
        method: method.to_ascii_uppercase(),
        path: format!("{BASE}{path}"),
        summary: text(operation, "summary"),
        about: text(operation, "description"),
        role: text(operation, "x-role"),
        command: operation.get("x-command").and_then(Value::as_str).map(str::to_owned),
        curl: curl(document, method, path, operation),
        parameters: parameters(operation),
        body: operation.pointer("/requestBody/content/application~1json/schema").map(form),
        answers: answers(document, operation),
    }
}

fn groups(document: &Value) -> Vec<Group> {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.map(|tag| {
        let name = text(tag, "name");
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, found) in item.as_object().into_iter().flatten() {
                if found["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| *tag == name.as_str())) {
                    operations.push(operation(document, method, path, found));
                }
            }
        }
        Group { about: text(tag, "description"), name, operations }
    })
    .filter(|group| !group.operations.is_empty())
    .collect()
}

fn shapes(document: &Value) -> Vec<Shape> {
    let all = document["components"]["schemas"].as_object().into_iter().flatten();
    all.map(|(name, schema)| {
        let own = std::iter::once(schema);
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let mut fields = Vec::new();
        for part in own.chain(parts) {
            if let (Some(part_of), false) = (referenced(part), std::ptr::eq(part, schema)) {
                let link = Link { text: part_of.to_owned(), to: Some(part_of.to_owned()) };
                fields.push(Field {
                    name: "…".to_owned(),
                    form: link,
                    about: text(part, "description"),
                    required: true,
                });
            }
            let required: Vec<&str> =
                part["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for (field, of) in part["properties"].as_object().into_iter().flatten() {
                fields.push(Field {
                    name: field.clone(),
                    form: form(of),
                    about: text(of, "description"),
                    required: required.contains(&field.as_str()),
                });
            }
        }
        let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let about = text(schema, "description");
        Shape { name: name.clone(), about, fields, words: words.collect() }
    })
    .collect()
}

async fn page(_: Viewer, Extension(document): Extension<Arc<Value>>, page: Page) -> PageResult {
    let about = text(&document["info"], "description");
    let webhook = &document["webhooks"]["alert"]["post"];
    rendered(&Guide {
        about: about.split("\n\n").map(|paragraph| paragraph.replace("**", "").replace('`', "")).collect(),
        groups: groups(&document),
        problems: ProblemKind::ALL
            .into_iter()
            .map(|kind| (kind.as_str(), kind.title(), kind.status().as_u16(), kind.usual_detail()))
            .collect(),
        webhook: text(webhook, "summary"),
        webhook_about: text(webhook, "description").replace('`', ""),
        shapes: shapes(&document),
        page,
    })
}

async fn document(
    _: Viewer,
    Extension(document): Extension<Arc<Value>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    kept::unless_known(&headers, None, async || Ok(&*document)).await
}

pub(super) fn routes(description: Arc<Value>) -> Router<Arc<App>> {
    Router::new().route("/api", get(page)).route("/api/openapi.json", get(document)).layer(Extension(description))
}
