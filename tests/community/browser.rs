//! Walks through the pages in a real browser, with screenshots of what is seen under `target/screenshots`.

mod driver;
mod program;

use std::io::Write;
use std::process::{Command, Stdio};

use chrono_tz::Europe::Berlin;

use self::driver::{Browser, installed};
use self::program::Program;
use crate::support::Platform;

const DESK: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (390, 844);

async fn empty() -> Platform {
    Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await
}

/// Looks at a page in both looks and on a phone, and tells what is in anybody's way or wider than the window.
async fn look_at(desk: &Browser, phone: &Browser, program: &Program, place: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for theme in ["light", "dark"] {
        desk.goto(&format!("{}{place}", program.url)).await;
        desk.look(theme).await;
        desk.find("main h1").await;
        desk.screenshot(&format!("{name}-{theme}")).await;
        found.extend(desk.barriers().await.into_iter().map(|barrier| format!("{place}, {theme}: {barrier}")));
    }
    phone.goto(&format!("{}{place}", program.url)).await;
    phone.find("main h1").await;
    phone.screenshot(&format!("{name}-phone")).await;
    if phone.overflows().await {
        found.push(format!("{place} is wider than a phone"));
    }
    found
}

/// Where the bar leads.
async fn places(browser: &Browser, program: &Program) -> Vec<String> {
    browser.goto(&program.url).await;
    let places =
        browser.script("return [...document.querySelectorAll('.places a')].map((link) => link.pathname)").await;
    places.as_array().unwrap().iter().map(|place| place.as_str().unwrap().to_owned()).collect()
}

fn named(prefix: &str, place: &str) -> String {
    format!("{prefix}{}", if place == "/" { "-home".to_owned() } else { place.replace('/', "-") })
}

#[tokio::test]
async fn an_empty_installation_can_be_looked_at() {
    if !installed() {
        return;
    }
    let platform = empty().await;
    let program = Program::up(&["--no-worker"], &[("DATABASE_URL", &platform.url())]);
    let (desk, phone) = (Browser::open(DESK).await, Browser::open(PHONE).await);
    let places = places(&desk, &program).await;
    assert!(places.len() >= 9, "{places:?}");
    let mut found = Vec::new();
    for place in places {
        found.extend(look_at(&desk, &phone, &program, &place, &named("empty", &place)).await);
    }
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(desk.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_demonstration_shows_what_is_wrong_and_what_comes_late_and_can_be_worked_with() {
    if !installed() {
        return;
    }
    let platform = empty().await;
    let program = Program::up(&["--demo"], &[("DATABASE_URL", &platform.url())]);
    let (desk, phone) = (Browser::open(DESK).await, Browser::open(PHONE).await);

    // The first page says by itself, as it is built, that one asset fails; its page says where, and the run why.
    desk.goto(&program.url).await;
    desk.says("#health .verdict", "failed").await;
    desk.says("#health .verdict", "silver.user_activity").await;
    desk.press("silver.user_activity").await;
    desk.says("main", "no_negative_figure").await;
    desk.screenshot("demo-failing-asset").await;
    desk.goto(&format!("{}/runs?state=failed", program.url)).await;
    desk.click("main table td a[href^='/runs/']").await;
    desk.says("section.failure", "no_negative_figure").await;
    desk.screenshot("demo-failed-run").await;
    let failed = desk.client.current_url().await.unwrap();
    desk.press("Retry what failed").await;
    desk.says("main dl.facts", "Repeats").await;
    assert_ne!(desk.client.current_url().await.unwrap(), failed, "the retry has a page of its own");

    // A range is picked by dragging over the heat bar, and shown as a plan before anything starts.
    desk.goto(&format!("{}/assets/silver.fact_voice_sessions", program.url)).await;
    desk.drag("svg[data-heat]", 0.3, 0.6).await;
    let picked = desk
        .script(
            "return [document.querySelector('[data-heat-from]').value, document.querySelector('[data-heat-to]').value]",
        )
        .await;
    let (from, to) = (picked[0].as_str().unwrap().to_owned(), picked[1].as_str().unwrap().to_owned());
    assert!(from.len() == 10 && from < to, "{picked}");
    desk.screenshot("demo-range").await;
    desk.press("Materialize …").await;
    desk.says("main", &format!("{from}..{to}")).await;
    desk.press("Launch").await;
    desk.says("main .title", "succeeded").await;

    // A backfill of everything, one after the other, is paused, goes on, and is canceled.
    desk.goto(&format!("{}/backfills/new?select=*&per_partition=yes&concurrency=1", program.url)).await;
    desk.says("main", "Estimated time").await;
    desk.screenshot("demo-backfill-dialog").await;
    desk.click("form.launch button").await;
    desk.says("#live", "running").await;
    desk.press("Pause").await;
    desk.says("#live .headline", "paused").await;
    desk.screenshot("demo-backfill-paused").await;
    desk.press("Resume").await;
    desk.says("#live .headline", "running").await;
    desk.press("Cancel").await;
    desk.client.accept_alert().await.unwrap();
    desk.says("#live .headline", "canceled").await;

    // What people do meanwhile is built without anybody asking, and appears without anybody loading the page again.
    desk.goto(&format!("{}/runs?cause=automation", program.url)).await;
    desk.script("window.isTheSamePage = true").await;
    desk.says("main table", "automation: ").await;
    assert_eq!(desk.script("return window.isTheSamePage").await, true);

    let mut found = Vec::new();
    for place in places(&desk, &program).await {
        found.extend(look_at(&desk, &phone, &program, &place, &named("demo", &place)).await);
    }
    for (place, name) in [
        ("/dashboards/activity", "demo-dashboard-activity"),
        ("/dashboards/retention", "demo-dashboard-retention"),
        ("/assets/gold.daily_active_users", "demo-asset"),
        ("/assets/gold.daily_active_users?view=metadata", "demo-asset-metadata"),
        ("/assets/gold.daily_active_users?view=columns", "demo-asset-columns"),
        ("/alerts", "demo-alerts"),
        ("/automation", "demo-automation"),
    ] {
        found.extend(look_at(&desk, &phone, &program, place, name).await);
    }
    assert_eq!(found, Vec::<String>::new());
    desk.goto(&format!("{}/dashboards/activity?span=all", program.url)).await;
    desk.find("main svg").await;
    assert_eq!(desk.complaints().await, Vec::<String>::new());
    assert_eq!(phone.complaints().await, Vec::<String>::new());
}

/// `community user add` with a password.
fn add_user(platform: &Platform, name: &str, role: &str, password: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_community"))
        .args(["user", "add", name, "--role", role, "--password-stdin"])
        .env_clear()
        .env("DATABASE_URL", platform.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    assert!(child.wait().unwrap().success());
}

async fn log_in(browser: &Browser, name: &str, password: &str) {
    browser.find("input[name=name]").await.send_keys(name).await.unwrap();
    browser.find("input[name=password]").await.send_keys(password).await.unwrap();
    browser.click("main form button.primary").await;
}

#[tokio::test]
async fn people_log_in_may_do_what_their_role_allows_and_log_out() {
    if !installed() {
        return;
    }
    let platform = empty().await;
    add_user(&platform, "ada", "admin", "a long enough password");
    add_user(&platform, "vera", "viewer", "another long password");
    let program = Program::up(&["--no-worker"], &[("DATABASE_URL", &platform.url())]);
    let desk = Browser::open(DESK).await;

    desk.goto(&format!("{}/runs", program.url)).await;
    desk.says("main h1", "Log in").await;
    desk.screenshot("login").await;
    assert_eq!(desk.barriers().await, Vec::<String>::new());
    log_in(&desk, "vera", "not her password").await;
    desk.says("main .banner", "wrong").await;
    desk.script("document.querySelector('input[name=name]').value = ''").await;
    log_in(&desk, "vera", "another long password").await;
    desk.says("main h1", "Runs").await;
    desk.says(".who", "vera").await;

    desk.goto(&format!("{}/backfills/new?select=silver.account_links", program.url)).await;
    assert_eq!(desk.script("return document.querySelector('form.launch button').disabled").await, true);
    desk.screenshot("viewer-may-not-launch").await;
    desk.goto(&format!("{}/settings/users", program.url)).await;
    desk.says("main", "Your role does not allow this").await;

    desk.press("Log out").await;
    desk.says("main h1", "Log in").await;
    desk.goto(&format!("{}/settings/users", program.url)).await;
    desk.says("main h1", "Log in").await;
    log_in(&desk, "ada", "a long enough password").await;
    desk.says("main", "vera").await;
    desk.screenshot("users").await;
    assert_eq!(desk.barriers().await, Vec::<String>::new());
}
