//! What all pages have in common: the frame, the language, the look, failures, and what a browser may do with them.

use reqwest::Method;

use crate::server::Server;

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
