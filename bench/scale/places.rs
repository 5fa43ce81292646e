//! Every address that answers with a page or a list, and every question to the API that changes nothing. One that the
//! sources name and this list does not is an error.

use std::path::Path;

use anyhow::{Context, bail};

use super::serving::Child;
use super::state::State;

/// A route as the sources write it, and the addresses by which it is measured; none with the reason why not.
enum Measured {
    By(&'static [&'static str]),
    Not(&'static str),
}

use Measured::{By, Not};

const ROUTES: &[(&str, Measured)] = &[
    ("/", By(&["/"])),
    ("/live", Not("a stream")),
    ("/login", By(&["/login"])),
    ("/healthz", By(&["/healthz"])),
    ("/readyz", By(&["/readyz"])),
    ("/metrics", By(&["/metrics"])),
    ("/static/{*name}", By(&["/static/karat.css"])),
    ("/lineage", By(&["/lineage", "/lineage?select=%2Bgold.asset_050", "/lineage?select=state:failed"])),
    ("/lineage/states", By(&["/lineage/states"])),
    ("/lineage/panel/{asset}", By(&["/lineage/panel/gold.asset_050"])),
    (
        "/runs",
        By(&[
            "/runs",
            "/runs?state=failed",
            "/runs?state=live",
            "/runs?state=paused",
            "/runs?state=canceled&cause=manual",
            "/runs?cause=sensor",
            "/runs?cause=retry",
            "/runs?asset=gold.asset_050",
            "/runs?asset=gold.asset_050&state=canceled&cause=backfill",
            "/runs?asset=gold.asset_050&partition={partition}",
            "/runs?asset=gold.asset_050&partition=1999-01-01",
            "/runs?user=ada",
            "/runs?user=ada&state=failed",
            "/runs?user=nobody",
            "/runs?before={run}",
        ]),
    ),
    (
        "/runs/{run_id}",
        By(&["/runs/{run}", "/runs/{large_run}", "/runs/{live_run}", "/runs/{failed_run}", "/runs/{talkative_run}"]),
    ),
    (
        "/runs/{run_id}/log",
        By(&[
            "/runs/{run}/log",
            "/runs/{large_run}/log",
            "/runs/{talkative_run}/log",
            "/runs/{talkative_run}/log?level=error",
            "/runs/{talkative_run}/log?text=nothing+like+it",
            "/runs/{large_run}/log?text=nothing+like+it",
        ]),
    ),
    ("/runs/{run_id}/log/live", Not("a stream")),
    ("/runs/{run_id}/log.txt", By(&["/runs/{run}/log.txt"])),
    ("/backfills", By(&["/backfills", "/backfills?before={backfill_cursor}"])),
    (
        "/backfills/new",
        By(&[
            "/backfills/new",
            "/backfills/new?select=gold.asset_050",
            "/backfills/new?select=*&scope=missing,failed,stale",
            "/backfills/new?select=*",
        ]),
    ),
    ("/backfills/{id}", By(&["/backfills/{backfill}"])),
    ("/schedules", By(&["/schedules"])),
    ("/schedules/{name}", Not("the assets of the bench have no schedules")),
    ("/schedules/{name}/trigger", Not("the assets of the bench have no schedules")),
    ("/sensors", By(&["/sensors"])),
    ("/sensors/{name}", Not("the assets of the bench have no sensors")),
    ("/automation", By(&["/automation"])),
    ("/automation/{asset}", By(&["/automation/gold.asset_050"])),
    ("/automation/{asset}/evaluations", By(&["/automation/gold.asset_050/evaluations"])),
    ("/timeline", By(&["/timeline"])),
    ("/workers", By(&["/workers"])),
    ("/alerts", By(&["/alerts"])),
    ("/alerts/{id}", Not("there is no alert in the bench")),
    ("/quarantine", By(&["/quarantine"])),
    ("/quarantine/{id}", Not("there is no row in quarantine in the bench")),
    ("/settings", By(&["/settings"])),
    ("/settings/account", By(&["/settings/account"])),
    ("/settings/users", By(&["/settings/users"])),
    ("/settings/tokens", By(&["/settings/tokens"])),
    ("/audit", By(&["/audit"])),
    ("/dashboards", By(&["/dashboards"])),
    ("/dashboards/{dashboard}", Not("the assets of the bench have no dashboards")),
    ("/dashboards/{dashboard}/{chart}/{file}", Not("the assets of the bench have no dashboards")),
    ("/tables", By(&["/tables"])),
    ("/tables/{asset}", By(&["/tables/gold.asset_050"])),
    ("/tables/{asset}/{file}", Not("a download of any size")),
    ("/login/with/{provider}", Not("nobody else knows the people of the bench")),
    ("/login/from/{provider}", Not("nobody else knows the people of the bench")),
    ("/assets", By(&["/assets", "/assets?state=failing"])),
    (
        "/assets/{name}",
        By(&[
            "/assets/gold.asset_050",
            "/assets/silver.asset_010",
            "/assets/bronze.asset_000",
            "/assets/gold.asset_450",
            "/assets/gold.asset_050?state=missing",
            "/assets/gold.asset_050?before={partition}",
            "/assets/gold.asset_050?view=columns",
            "/assets/gold.asset_050?view=checks",
            "/assets/gold.asset_050?view=metadata",
            "/assets/gold.asset_050?view=policies",
        ]),
    ),
    ("/assets/{name}/why", By(&["/assets/gold.asset_050/why?partition={partition}"])),
    ("/assets/{name}/plan", By(&["/assets/gold.asset_050/plan", "/assets/gold.asset_050/plan?what=stale"])),
    ("/assets/{name}/mark", By(&["/assets/gold.asset_050/mark"])),
];

/// What is sent to an address of the API that the description calls safe although it is no GET.
const QUESTIONS: &[(&str, &[&str])] = &[(
    "/plan",
    &[
        r#"{"selection": "gold.asset_050", "extent": "all"}"#,
        r#"{"selection": "*", "extent": "all"}"#,
        r#"{"selection": "*", "extent": "all", "states": ["missing", "failed", "stale"]}"#,
        r#"{"selection": "+gold.asset_050", "extent": {"text": "{partition}"}, "upstream": true}"#,
    ],
)];

/// An address to be measured.
pub(super) struct Place {
    pub(super) address: String,
    /// What is posted to it; without anything it is asked for.
    question: Option<String>,
}

impl Place {
    fn get(address: String) -> Self {
        Self { address, question: None }
    }

    /// As it is called in reports.
    pub(super) fn name(&self) -> String {
        match &self.question {
            Some(question) => format!("POST {} {question}", self.address),
            None => self.address.clone(),
        }
    }

    pub(super) fn request(&self, client: &reqwest::Client, serving: &Child) -> reqwest::RequestBuilder {
        let url = serving.url(&self.address);
        match &self.question {
            Some(question) => {
                client.post(url).header(reqwest::header::CONTENT_TYPE, "application/json").body(question.clone())
            }
            None => client.get(url),
        }
    }
}

/// Every address of [`ROUTES`] and of the description of the API.
pub(super) async fn all(client: &reqwest::Client, serving: &Child, state: &State) -> anyhow::Result<Vec<Place>> {
    let known = |route: &str| ROUTES.iter().any(|(known, _)| *known == route);
    let served = served_routes()?;
    let unlisted: Vec<&String> = served.iter().filter(|route| !known(route)).collect();
    if !unlisted.is_empty() {
        bail!("these addresses are served and not in the list of bench/scale/places.rs: {unlisted:?}");
    }
    let mut places: Vec<Place> = Vec::new();
    for (route, measured) in ROUTES.iter().filter(|(route, _)| served.iter().any(|served| served == route)) {
        match measured {
            By(addresses) => places.extend(addresses.iter().map(|address| Place::get(filled(address, state)))),
            Not(reason) => eprintln!("        {route} is not measured: {reason}"),
        }
    }
    let description = client.get(serving.url("/api/openapi.json")).send().await?;
    if description.status().is_success() {
        let description: serde_json::Value = description.json().await?;
        let paths = description.get("paths").and_then(|paths| paths.as_object()).context("the API has no paths")?;
        for path in paths.iter().filter(|(_, verbs)| verbs.get("get").is_some()).map(|(path, _)| path) {
            // Streams do not end, and a download is of any size.
            if path.ends_with("/stream") || path.ends_with("/download") {
                continue;
            }
            places.extend(of_api(path, state).into_iter().map(Place::get));
        }
        let is_safe = |verbs: &serde_json::Value| verbs.pointer("/post/x-safe") == Some(&serde_json::Value::Bool(true));
        for path in paths.iter().filter(|(_, verbs)| is_safe(verbs)).map(|(path, _)| path) {
            let Some((_, questions)) = QUESTIONS.iter().find(|(known, _)| known == path) else {
                bail!("what is asked of {path} is not in the list of bench/scale/places.rs");
            };
            places.extend(
                questions.iter().map(|question| Place {
                    address: format!("/api/v1{path}"),
                    question: Some(filled(question, state)),
                }),
            );
        }
    }
    Ok(places)
}

/// A path of the API with its parameters filled in: one address for each run that differs from the others.
fn of_api(path: &str, state: &State) -> Vec<String> {
    let question = if path.ends_with("/why") { "?partition={partition}" } else { "" };
    let path = format!("{path}{question}").replace("{asset}", "gold.asset_050");
    let runs: &[&str] = if path.contains("{run}") { &["{run}", "{large_run}", "{live_run}"] } else { &["{run}"] };
    let addresses = runs.iter().map(|run| filled(&format!("/api/v1{}", path.replace("{run}", run)), state));
    // What else has parameters is not there in this installation.
    addresses.filter(|address| !address.contains('{')).collect()
}

fn filled(address: &str, state: &State) -> String {
    [
        ("{run}", state.run.to_string()),
        ("{large_run}", state.large_run.to_string()),
        ("{live_run}", state.live_run.to_string()),
        ("{failed_run}", state.failed_run.to_string()),
        ("{talkative_run}", state.talkative_run.to_string()),
        ("{backfill}", state.backfill.to_string()),
        ("{backfill_cursor}", state.run.to_string()),
        ("{partition}", state.partition.clone()),
    ]
    .into_iter()
    .fold(address.to_owned(), |address, (name, value)| address.replace(name, &value))
}

/// The routes of pages that the sources declare for GET.
fn served_routes() -> anyhow::Result<Vec<String>> {
    let mut routes = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                // The API describes itself.
                if !path.ends_with("api") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                routes.extend(declared(&std::fs::read_to_string(&path)?));
            }
        }
    }
    routes.sort();
    routes.dedup();
    Ok(routes)
}

/// `.route("…", get(…))` in a text.
fn declared(text: &str) -> Vec<String> {
    let declarations = text.split(".route(").skip(1);
    declarations
        .filter_map(|rest| {
            let (path, handlers) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            let own = handlers.split_once(';').map_or(handlers, |(own, _)| own);
            (own.contains("get(")).then(|| path.to_owned())
        })
        .collect()
}
