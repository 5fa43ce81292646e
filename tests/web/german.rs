//! What a German reader reads.

use std::collections::{BTreeSet, VecDeque};

use karat::daemon::{AlertReconciler, AutomationReconciler, FreshnessReconciler, Reconciler, ReconcilerContext};
use karat::service::{Extent, LaunchKind, Request};
use karat::store::Store;
use reqwest::Method;

use crate::look::{settled, shot, shown};
use crate::server::{Answer, Server};
use crate::service_lake::instant;
use crate::workshop::{workshop, write_late_readings};

/// What the service says in English: of each sentence as much as is the same whatever it is about.
const ENGLISH: &[&str] = &[
    // Partitions.
    "no partitions",
    " partition)",
    " partitions)",
    "more range",
    // Why a version is stale.
    "its definition",
    " changed",
    " landed in ",
    " went from ",
    "written by",
    "removed by",
    "built before",
    "by force",
    // Automation.
    "it is built",
    "it is filled",
    "not due",
    "nothing to do",
    "due: it",
    "in progress",
    "waiting for",
    "waits for",
    "of each",
    "without a change",
    "newest change",
    "is met",
    "be met",
    "the window",
    "first build",
    "any of:",
    "all of:",
    "manual:",
    // Causes of runs.
    "manual",
    "because",
    "its window",
    "schedule nightly",
    "tick of",
    "by hand",
    "retry",
    "run key",
    " more;",
    // Obstacles.
    "failed in run",
    "no reason is known",
    "asked to stop",
    "is paused",
    "It waits",
    "tried again",
    "the same partition",
    "is full",
    "is held by",
    "at once",
    "are running",
    "is alive",
    "start one with",
    " slots",
    "come before it",
    // How old an asset may get.
    "are allowed",
    "must be there",
    "overdue",
    // Ticks.
    "something is missing",
    "builds what is missing",
    " needs ",
    // Health.
    "out of order",
    "not registered",
    "lease",
    "process leads",
    "it never",
    "ought to",
    // States and conditions.
    ">stale<",
    ">missing<",
    ">failed<",
    ">fresh<",
    ">queued<",
    ">running<",
    "under way",
    "was not built",
    "in quarantine",
    // Whatever else: words that German does not have.
    " the ",
    " and ",
    " of ",
    " its ",
    " is ",
    " are ",
    " has ",
];

/// What users of Karat wrote, and what was written down when it happened.
const WRITTEN: &[&str] = &[
    "All events of a region.",
    "Readings per day, counted on the one press there is.",
    "Counts yesterday, and the week when it is over",
    "The day with the most people; none when nothing happened.",
    "automation: 3 partitions of lake.daily",
    "check plausible: 1 offending row; the version before stays",
];

async fn german(server: &Server, path: &str) -> Answer {
    server.send(server.request(Method::GET, path).header("accept-language", "de")).await
}

fn context(server: &Server) -> ReconcilerContext {
    ReconcilerContext {
        store: Store::new(server.lake.pool.clone()),
        definitions: server.service.definitions().clone(),
        clock: server.lake.clock.clone(),
    }
}

/// Days that are fresh, one that failed, one that is stale, and what alerts and automation make of that two days later;
/// no worker takes up what automation launches.
async fn busy() -> Server {
    let server = Server::new().await;
    server.lake.record(2, 19, 5).await;
    server.lake.says("backfill '*' --missing").await;
    server.lake.record(7, 7, 60).await;
    server.lake.record(9, 9, 7).await;
    server.lake.says("backfill lake.daily 2026-03-07").await;
    settled(&server, "1 failed").await;
    server
}

async fn two_days_later(server: &Server) {
    let context = context(server);
    server.lake.clock.set(instant("2026-03-22T10:00:00Z"));
    AutomationReconciler::default().activate(&context).await.unwrap();
    FreshnessReconciler.activate(&context).await.unwrap();
    AlertReconciler.activate(&context).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_partition_is_as_it_is_is_told_in_german() {
    let server = busy().await;
    let why = async |day: &str| german(&server, &format!("/assets/lake.daily/why?partition={day}")).await;
    shot("why_failed_german", &why("2026-03-07").await);
    shot("why_stale_german", &why("2026-03-09").await);
    shown(&server, "/assets/lake.daily?state=stale", "2026-03-09").await;
    shot("automated_german", &german(&server, "/automation/lake.daily").await);
    two_days_later(&server).await;
    shot("why_queued_german", &why("2026-03-09").await);
    shot("runs_german", &german(&server, "/runs").await);
    shot("alerts_german", &german(&server, "/alerts").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tick_would_build_is_told_in_german() {
    let server = Server::new().await;
    shot("trigger_german", &german(&server, "/schedules/nightly/trigger").await);
    shot("plan_german", &german(&server, "/assets/lake.weekly/plan").await);
}

/// Every page that links lead to, from the first one on.
async fn every_page(server: &Server) -> Vec<(String, Answer)> {
    let mut seen: BTreeSet<String> = BTreeSet::from(["/".to_owned()]);
    let mut waiting: VecDeque<String> = VecDeque::from(["/".to_owned()]);
    let mut pages = Vec::new();
    while let Some(path) = waiting.pop_front() {
        let page = german(server, &path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        for link in page.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            let link = link.replace("&#38;", "&").replace("&amp;", "&");
            // Of lists and graphs one view of each kind, and of files none.
            let kind = link.split(['?', '#']).next().unwrap();
            let is_page =
                kind.starts_with('/') && ["/api", "/static", "/download"].iter().all(|no| !kind.starts_with(no));
            if is_page && seen.insert(kind.to_owned()) {
                waiting.push_back(link);
            }
        }
        pages.push((path, page));
    }
    pages
}

/// What is read and told of a page, tags emptied, without what is English on every page: what says so of itself, what is
/// typed, and what others wrote.
fn for_readers(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let tag = &rest[at..=at + rest[at..].find('>').unwrap()];
        let name: String = tag[1..].chars().take_while(char::is_ascii_alphanumeric).collect();
        if tag.contains(" lang=\"en\"") || name == "code" || name == "pre" {
            let end = format!("</{name}>");
            rest = &rest[at + rest[at..].find(&end).unwrap() + end.len()..];
        } else {
            let told = ["title", "aria-label", "placeholder", "data-confirm"].iter().filter_map(|name| {
                let value = tag.split(&format!(" {name}=\"")).nth(1)?;
                value.split('"').next()
            });
            text.push_str(&format!("<{}>", told.collect::<Vec<_>>().join(" ")));
            rest = &rest[at + tag.len()..];
        }
    }
    text.push_str(rest);
    WRITTEN.iter().fold(text, |text, written| text.replace(written, ""))
}

/// Every phrase of the list that a page has, with what stands about it.
fn english_on(path: &str, page: &Answer) -> Vec<String> {
    let text = for_readers(page.main());
    let found = ENGLISH.iter().filter_map(|phrase| {
        let at = text.find(phrase)?;
        let from = text.floor_char_boundary(at.saturating_sub(60));
        let to = text.ceil_char_boundary((at + phrase.len() + 60).min(text.len()));
        Some(format!("{path}: {phrase:?} in {:?}", &text[from..to]))
    });
    found.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_says_a_sentence_of_the_service_in_english() {
    let server = busy().await;
    assert_eq!(server.post("/schedules/nightly/trigger", &[]).await.status, 303);
    two_days_later(&server).await;
    let request = Request::new("lake.daily", Extent::Text("2026-03-07..2026-03-08".to_owned()));
    server.service.launch(&request, LaunchKind::Backfill).await.unwrap();
    let mut found = Vec::new();
    let pages = every_page(&server).await;
    assert!(pages.len() > 30, "{}", pages.len());
    for (path, page) in &pages {
        found.extend(english_on(path, page));
    }
    for day in ["2026-03-07", "2026-03-08", "2026-03-09", "2026-03-20", "2026-03-22"] {
        let path = format!("/assets/lake.daily/why?partition={day}");
        found.extend(english_on(&path, &german(&server, &path).await));
    }
    for path in [
        "/assets/lake.daily?view=columns",
        "/assets/lake.daily?view=checks",
        "/assets/lake.daily?view=metadata",
        "/assets/lake.daily?view=policies",
        "/assets/lake.weekly/why",
        "/assets/lake.events/why",
        "/assets/lake.weekly/plan?from=2026-W10",
        "/lineage?asset=lake.daily",
        "/backfills/new?select=lake.weekly&scope=all",
        "/schedules/nightly/trigger",
        "/login",
    ] {
        found.extend(english_on(path, &german(&server, path).await));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));

    let server = workshop(Vec::new()).await;
    write_late_readings(&server, &["leise"]).await;
    let forced =
        Request { force: true, ..Request::new("workshop.pressed", Extent::Text("2026-03-02..2026-03-05".to_owned())) };
    server.service.launch(&forced, LaunchKind::Materialize).await.unwrap();
    // As if the first were being built: the one pool takes no other.
    let first = "update karat.step set state = 'running', started_at = '2026-03-20T09:59:00Z'
                 where step_id = (select min(step_id) from karat.step)";
    sqlx::query(first).execute(&server.lake.pool).await.unwrap();
    let waiting = german(&server, "/assets/workshop.pressed/why?partition=2026-03-03").await;
    let told = "Der Pool press ist voll, 1 von 1 zugleich. Belegt durch: workshop.pressed 2026-03-02 (Lauf ";
    assert!(waiting.main().contains(told), "{}", waiting.text);
    for (path, page) in &every_page(&server).await {
        found.extend(english_on(path, page));
    }
    for path in
        ["/assets/workshop.pressed/why?partition=2026-03-03", "/assets/workshop.pressed/why?partition=2026-03-06"]
    {
        found.extend(english_on(path, &german(&server, path).await));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
