//! What open pages are told.

use std::time::Duration;

use reqwest::Method;

use crate::server::Server;

/// How long a page may have to wait for news.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_change_is_an_event_that_browsers_pass_on() {
    let server = Server::new().await;
    let mut stream = server.request(Method::GET, "/live").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    server.lake.record(19, 19, 1).await;
    let told = async {
        let mut text = String::new();
        while !text.contains("\n\n") {
            text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
        }
        text
    };
    let text = tokio::time::timeout(PATIENCE, told).await.unwrap();
    // Without data, a browser keeps the event to itself.
    let [event, data, ..] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!(event, "event: changed");
    assert!(data.strip_prefix("data: ").is_some_and(|data| data.parse::<u64>().is_ok()), "{text}");
}
