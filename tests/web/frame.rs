//! What all pages have in common: the frame, the language, the look, failures, and what a browser may do with them.

use reqwest::Method;
use reqwest::header::COOKIE;

use crate::access::{cookie_of_root, with_people};
use crate::look::{masks, shot_of, shot_with};
use crate::server::{Answer, Server};

/// What stands around the main part.
fn frame(page: &Answer) -> String {
    page.text.replace(page.main(), "<main id=\"content\"><h1>…</h1>")
}

#[tokio::test]
async fn what_stands_around_a_page_fits_who_looks() {
    let server = Server::new().await;
    shot_of("frame_local", &frame(&server.get("/runs").await));
    let german = server.request(Method::GET, "/runs").header("accept-language", "de");
    shot_of("frame_german_dark", &frame(&server.send(german.header(COOKIE, "karat_theme=dark")).await));
    let server = with_people().await;
    shot_of("frame_stranger", &frame(&server.get("/login?next=/runs").await));
    let cookie = cookie_of_root(&server).await;
    let page = server.send(server.request(Method::GET, "/runs?state=live").header(COOKIE, cookie)).await;
    shot_of("frame_session", &frame(&page));
}

#[tokio::test]
async fn a_page_is_in_the_language_and_look_that_was_chosen() {
    let server = Server::new().await;
    let german = server.request(Method::GET, "/").header("accept-language", "de-AT,de;q=0.9,en;q=0.8");
    let page = server.send(german).await.text;
    assert!(
        page.contains("<html lang=\"de\" data-theme=\"system\">") && page.contains("Zeiten in Europe/Berlin"),
        "{page}"
    );
    let chosen = server.post("/preferences", &[("language", "en"), ("back", "/?a=b")]).await;
    assert_eq!((chosen.status, chosen.header("location")), (303, "/?a=b"));
    insta::assert_snapshot!(chosen.header("set-cookie"), @"karat_language=en; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
    let both = server
        .request(Method::GET, "/")
        .header("accept-language", "de")
        .header("cookie", "karat_language=en; karat_theme=dark");
    assert!(server.send(both).await.text.contains("<html lang=\"en\" data-theme=\"dark\">"));
}

#[tokio::test]
async fn nobody_is_led_elsewhere_by_a_form() {
    let server = Server::new().await;
    for back in ["https://example.org/", "//example.org/", "/\\example.org", "javascript:alert(1)", "/\r\nx: y", ""] {
        let answer = server.post("/preferences", &[("theme", "dark"), ("back", back)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{back:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_has_a_page_that_says_so() {
    let server = Server::new().await;
    let page = server.get("/nothing").await;
    assert_eq!(page.status, 404);
    assert!(page.main().contains("The address leads nowhere"), "{}", page.text);
    let part = server.send(server.request(Method::GET, "/nothing").header("hx-request", "true")).await;
    assert!(part.status == 404 && part.text.trim_start().starts_with("<div class=\"banner failed\""), "{}", part.text);
}

#[tokio::test]
async fn a_page_may_load_nothing_from_elsewhere_and_run_nothing_of_its_own() {
    let server = Server::new().await;
    let page = server.get("/").await;
    insta::assert_snapshot!(page.header("content-security-policy"), @"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value);
    }
    for forbidden in [" style=", "<style", "javascript:", " onclick=", "http://", "https://"] {
        assert!(!page.text.contains(forbidden), "{forbidden} in {}", page.text);
    }
}

#[tokio::test]
async fn the_page_about_the_api_is_sound() {
    let server = Server::new().await;
    let mut settings = masks();
    // Each operation is held against its answers elsewhere.
    settings.add_filter("(?s)<details class=\"card operation\".*?</details>", "[operation]");
    shot_with(settings, "api_page", &server.get("/api").await);
}
