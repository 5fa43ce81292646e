//! The description of the API: what the handlers say of themselves, and what holds of all of them.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::problem::{MEDIA_TYPE, Problem, ProblemKind};
use super::{BASE, ParameterNames, idempotency};
use crate::daemon::alert_channel::AlertMessage;

#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem, AlertMessage)),
    tags(
        (name = "assets", description = "What there is, how it stands, and why."),
        (name = "launch", description = "Looking ahead, and building partitions."),
        (name = "runs", description = "Runs: listing, showing, steering and repeating them."),
        (name = "logs", description = "What assets say while they are computed, and what happened to runs."),
        (name = "backfills", description = "Sets of partitions: their progress, and steering them."),
        (name = "schedules", description = "When schedules fire, and steering them."),
        (name = "sensors", description = "What sensors came to, and steering them."),
        (name = "late data", description = "Marks by hand, and the rows that came too late."),
        (name = "data", description = "Rows of assets, dashboards with their figures, and where rows come from."),
        (name = "alerts", description = "What wants attention, and what was said about it."),
        (name = "installation", description = "What answers, who works, what ran and what is due."),
        (name = "accounts", description = "Who may do what, and who did."),
    )
)]
struct Begun;

const ABOUT: &str = "\
What the pages and the command line can do, but for what they keep to themselves: users, passwords and tokens are made there \
only, since whoever got hold of a token could otherwise stay when it is revoked; `check`, `migrate` and `gc` are the command \
line's.

**Who asks.** Send the token of an account as `Authorization: Bearer TOKEN`. Its role decides: `viewer` may look, `operator` \
may also launch, steer, switch and mark, `admin` may do everything. On a loopback address of an installation without users no \
token is needed.

**Lists** come as `{\"items\": […], \"next\": …}`. `next` is the `cursor` of the page after this one and `null` on the last. \
`limit` is 1 to 500.

**Times** are instants in UTC. Partitions are named by their keys, such as `2026-11-21`, `2026-11` or `2026-W47`.

**Problems** are answered as RFC 9457 says, with the media type `application/problem+json`. The field `kind` is for programs, \
`detail` is a sentence with what is wrong and what to do. A request that is refused has changed nothing.

**Sending again.** A request that changes something may bear a header `Idempotency-Key`, a text of its own such as a UUID. \
However often it is sent within a day, it is carried out once, and the first answer is given again with \
`Idempotency-Replayed: true`. The same key with another request is a problem `key_reused`; while the first is being carried \
out, the others are told `in_progress`.

**Answers that may be kept** have an `ETag`. Send it back as `If-None-Match`, and what has not changed is answered with 304 \
and no body.";

/// What the description begins with.
pub(super) fn begun(program: &str, version: &str) -> utoipa::openapi::OpenApi {
    let mut document = Begun::openapi();
    document.info = utoipa::openapi::Info::new(program, version);
    document.info.description = Some(ABOUT.to_owned());
    document
}

/// The description with what holds of all operations: how to ask, problems, keys and tags; and the webhook.
pub(super) fn completed(document: &utoipa::openapi::OpenApi) -> Value {
    // Plain data always becomes JSON.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let mut strict = BTreeSet::new();
    for (path, method, operation) in operations_mut(&mut document) {
        complete(&path, &method, operation);
        if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema/$ref") {
            strict.extend(schema.as_str().and_then(|reference| reference.rsplit('/').next()).map(str::to_owned));
        }
    }
    for name in strict {
        if let Some(schema) = document.pointer_mut(&format!("/components/schemas/{name}")) {
            schema["additionalProperties"] = json!(false);
        }
    }
    document["servers"] = json!([{ "url": BASE }]);
    document["security"] = json!([{ "token": [] }, {}]);
    document["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer", "description": "The token of an account." }
    });
    document["components"]["responses"] = problems();
    document["components"]["headers"] = json!({
        "ETag": { "description": "The tag of this answer, for If-None-Match.", "schema": { "type": "string" } },
        "IdempotencyReplayed": {
            "description": "Set when the answer was given before.",
            "schema": { "type": "string", "const": "true" }
        }
    });
    document["webhooks"] = webhooks();
    document
}

/// Every operation with its path and method.
fn operations_mut(document: &mut Value) -> impl Iterator<Item = (String, String, &mut Value)> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    paths.into_iter().flatten().flat_map(|(path, item)| {
        let operations = item.as_object_mut().into_iter().flatten();
        operations.map(move |(method, operation)| (path.clone(), method.clone(), operation))
    })
}

fn complete(path: &str, method: &str, operation: &mut Value) {
    let words = path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    operation["operationId"] = json!(std::iter::once(method).chain(words).collect::<Vec<_>>().join("_"));
    let has_body = operation.get("requestBody").is_some();
    let is_safe = method == "get" || operation.get("x-safe") == Some(&json!(true));
    let is_kept = operation.get("x-kept") == Some(&json!(true));
    if operation.get("x-role").is_none() {
        operation["x-role"] = json!(if is_safe { "viewer" } else { "operator" });
    }
    let mut statuses = vec!["400", "401", "403", "429", "500", "503"];
    if operation.get("parameters").is_some() || has_body {
        statuses.push("404");
    }
    if !is_safe || has_body {
        statuses.push("409");
    }
    if has_body {
        statuses.extend(["413", "415"]);
    }
    if has_body || !is_safe {
        statuses.push("422");
    }
    if !is_safe {
        parameter(
            operation,
            json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "A text of this request's own in printable ASCII, such as a UUID: however often it is sent within a day, it is carried out once.",
                "schema": { "type": "string", "minLength": 1, "maxLength": idempotency::LONGEST_KEY },
                "example": "5b0c1f3e-6f0e-4d7e-9f0a-2d1c3b4a5968"
            }),
        );
    }
    if is_kept {
        parameter(
            operation,
            json!({
                "name": "If-None-Match", "in": "header", "required": false,
                "description": "The ETag of the answer that is kept.", "schema": { "type": "string" }
            }),
        );
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
        if is_kept && status == "200" {
            response["headers"] = json!({ "ETag": { "$ref": "#/components/headers/ETag" } });
        }
        if !is_safe {
            response["headers"] =
                json!({ "Idempotency-Replayed": { "$ref": "#/components/headers/IdempotencyReplayed" } });
        }
    }
    if is_kept {
        let header = json!({ "ETag": { "$ref": "#/components/headers/ETag" } });
        responses.insert("304".to_owned(), json!({ "description": "What is kept has not changed", "headers": header }));
    }
    for status in statuses {
        responses.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/Problem{status}") }));
    }
}

fn parameter(operation: &mut Value, parameter: Value) {
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

/// The answers of each status, with the kinds of problem that have it.
fn problems() -> Value {
    let mut responses = Map::new();
    for kind in ProblemKind::ALL {
        let status = kind.status().as_str().to_owned();
        let response = responses.entry(format!("Problem{status}")).or_insert_with(|| {
            json!({
                "description": "",
                "content": { MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" }, "examples": {} } }
            })
        });
        let description = response["description"].as_str().unwrap_or_default();
        let separator = if description.is_empty() { "" } else { "; " };
        response["description"] = json!(format!("{description}{separator}{} (`{}`)", kind.title(), kind.as_str()));
        let example = serde_json::to_value(Problem::new(kind, kind.usual_detail())).unwrap_or_default();
        response["content"][MEDIA_TYPE]["examples"][kind.as_str()] = json!({ "value": example });
        let header = match kind {
            ProblemKind::LoginNeeded => Some(("WWW-Authenticate", "How to say who asks.", json!({ "type": "string" }))),
            ProblemKind::TooManyRequests | ProblemKind::InProgress => {
                Some(("Retry-After", "Seconds after which to ask again.", json!({ "type": "string" })))
            }
            _ => None,
        };
        if let Some((name, description, schema)) = header {
            response["headers"] = json!({ name: { "description": description, "schema": schema } });
        }
    }
    Value::Object(responses)
}

fn webhooks() -> Value {
    json!({
        "alert": {
            "post": {
                "operationId": "alert",
                "summary": "An alert opened, lasts, or ended",
                "description": "Posted to the URL given with `--alert-webhook` or in `KARAT_ALERT_WEBHOOK`. Any status from 200 to \
                    299 takes it. It arrives at least once: `id` is the same however often it is sent. After 400, 413 and 422 \
                    it is not sent again; after anything else it is, with pauses that grow from 10 seconds to half an hour, for \
                    a day, and a `Retry-After` is heeded. Redirects are not followed. An alert is said again once a day while it \
                    lasts. Beyond twenty messages an hour what there is to say comes as one of kind `summary`. Fields are added \
                    in later versions; none is taken away without counting up `version`.",
                "requestBody": {
                    "required": true,
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/AlertMessage" } } }
                },
                "responses": { "2XX": { "description": "It was taken" } },
                "security": [{}]
            }
        }
    })
}

/// The parameters in the address of each operation.
pub(super) fn parameter_names(document: &Value, base: &str) -> ParameterNames {
    let mut names = ParameterNames::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else { continue };
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_query = parameters.filter(|parameter| parameter["in"] == "query");
            let own = in_query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect();
            names.insert((method, format!("{base}{path}")), own);
        }
    }
    names
}
