//! The files of the pages.

use reqwest::Method;

use crate::server::Server;

#[tokio::test]
async fn files_are_kept_by_browsers_until_their_content_changes() {
    let server = Server::new().await;
    let page = server.get("/").await.text;
    let at = page.find("/static/karat.css?v=").unwrap();
    let address = page[at..].split('"').next().unwrap();
    let file = server.get(address).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    let again = server.request(Method::GET, address).header("if-none-match", file.header("etag"));
    let again = server.send(again).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
}

#[tokio::test]
async fn only_files_that_are_embedded_are_served() {
    let server = Server::new().await;
    for path in
        ["/static/nothing.css", "/static/../Cargo.toml", "/static/%2e%2e/%2e%2e/Cargo.toml", "/static//etc/passwd"]
    {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}
