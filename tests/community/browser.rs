//! Walks through the pages in a real browser.

mod driver;
mod program;

use chrono_tz::Europe::Berlin;

use self::driver::{Browser, installed};
use self::program::Program;
use crate::support::Platform;

/// Every address of the bar, in both looks and on a phone, on an installation with nothing in it.
#[tokio::test]
async fn an_empty_installation_can_be_looked_at() {
    if !installed() {
        return;
    }
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-13T12:00:00Z").await;
    let program = Program::up(&[], &[("DATABASE_URL", &platform.url())]);
    let desk = Browser::open(1280, 900).await;
    let phone = Browser::open(390, 844).await;
    desk.goto(&program.url).await;
    let places = desk.script("return [...document.querySelectorAll('.places a')].map((link) => link.pathname)").await;
    let places: Vec<&str> = places.as_array().unwrap().iter().map(|place| place.as_str().unwrap()).collect();
    assert!(places.contains(&"/"), "{places:?}");
    for place in places {
        let name = format!("empty{}", place.replace('/', "-"));
        for theme in ["light", "dark"] {
            desk.goto(&format!("{}{place}", program.url)).await;
            desk.look(theme).await;
            desk.find("main h1").await;
            desk.screenshot(&format!("{name}-{theme}")).await;
            assert_eq!(desk.barriers().await, Vec::<String>::new(), "{place}, {theme}");
        }
        phone.goto(&format!("{}{place}", program.url)).await;
        phone.find("main h1").await;
        phone.screenshot(&format!("{name}-phone")).await;
        assert!(!phone.overflows().await, "{place} is wider than a phone");
    }
    assert_eq!(desk.complaints().await, Vec::<String>::new());
}
