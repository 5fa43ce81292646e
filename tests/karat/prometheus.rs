//! Metrics as Debian's own Prometheus reads them.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::http::Pages;
use crate::metrics::built;
use crate::service_lake::Lake;

/// How long Prometheus may take to start and to scrape.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the programs are there. Without them the tests have nothing to ask, unless they are required.
fn installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(
        there || std::env::var_os("KARAT_REQUIRE_PROMETHEUS").is_none(),
        "`{program}` is required and not installed"
    );
    if !there {
        println!("skipped: `{program}` is not installed (Debian: apt-get install prometheus)");
    }
    there
}

#[tokio::test]
async fn promtool_has_nothing_to_say_against_the_metrics() {
    if !installed("promtool") {
        return;
    }
    let lake = Lake::new().await;
    let (service, process) = built(&lake).await;
    let text = Pages::of(service, process).await.get("/metrics").await.text().await.unwrap();
    assert_eq!(complaints(&text), "");
    assert_ne!(complaints(&text.replace("_total", "")), "", "it looks at what it is given");
}

/// What `promtool check metrics` says.
fn complaints(text: &str) -> String {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { said } else { format!("{}: {said}", output.status) }
}

/// A Prometheus that scrapes one address.
struct Prometheus {
    process: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(target: std::net::SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs: [{{job_name: karat, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Free a moment ago, and Prometheus cannot say which port it took.
        let address = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, url: format!("http://{address}"), _directory: directory }
    }

    /// The figures of a query, by labels, as soon as there are any.
    async fn query(&self, query: &str) -> Vec<(Value, String)> {
        let client = reqwest::Client::new();
        let asking = async {
            loop {
                let request = client.get(format!("{}/api/v1/query", self.url)).query(&[("query", query)]);
                if let Ok(response) = request.send().await
                    && let Ok(answer) = response.json::<Value>().await
                    && let Some(found) = answer["data"]["result"].as_array().filter(|found| !found.is_empty())
                {
                    let figure = |found: &Value| found["value"][1].as_str().unwrap().to_owned();
                    return found.iter().map(|found| (found["metric"].clone(), figure(found))).collect();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("Prometheus does not know of it")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn prometheus_scrapes_a_process() {
    if !installed("prometheus") {
        return;
    }
    let lake = Lake::new().await;
    let (service, process) = built(&lake).await;
    let pages = Pages::of(service, process).await;
    let prometheus = Prometheus::scraping(pages.address);
    let published = prometheus.query("karat_published_partitions_total").await;
    assert_eq!(published.len(), 1, "{published:?}");
    assert_eq!((published[0].0["asset"].as_str(), published[0].1.as_str()), (Some("lake.daily"), "5"));
    assert_eq!(prometheus.query("up").await[0].1, "1");
    let quantile = prometheus.query("histogram_quantile(1, karat_attempt_duration_seconds_bucket)").await;
    assert!(quantile[0].1.parse::<f64>().unwrap() > 0.0, "{quantile:?}");
    assert_eq!(prometheus.query("karat_queue_steps").await[0].1, "0");
}
