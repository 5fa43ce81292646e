//! A real browser, headless: Debian's Chromium, driven by ChromeDriver.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long anything on a page may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Whether the programs are there. Without them there is nothing to walk with, unless they are required.
pub(crate) fn installed() -> bool {
    if std::env::var_os("KARAT_WITHOUT_BROWSER").is_some() {
        println!("skipped: KARAT_WITHOUT_BROWSER is set");
        return false;
    }
    let there = ["chromium", "chromedriver"].iter().all(|program| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    assert!(there || std::env::var_os("KARAT_REQUIRE_BROWSER").is_none(), "Chromium is required and not installed");
    if !there {
        println!("skipped: no Chromium (Debian: apt-get install chromium chromium-driver)");
    }
    there
}

/// A browser with one window; it does not outlive the test.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    driver_url: String,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with it when it is asked to end; there is nothing to lose when it is not there.
        let _ = Command::new("kill").arg(self.driver.id().to_string()).status();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// A window of this size, in CSS pixels.
    pub(crate) async fn open((width, height): (u32, u32)) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok())
            .unwrap();
        // It must not wait for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ]);
        let mut capabilities = Capabilities::new();
        // A phone is narrower than a window can be: it is emulated.
        let mut options = json!({ "args": arguments });
        if width < 500 {
            options["mobileEmulation"] =
                json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "touch": true } });
        }
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        capabilities.insert("unhandledPromptBehavior".to_owned(), json!("ignore"));
        let driver_url = format!("http://127.0.0.1:{port}");
        let client =
            ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&driver_url).await.unwrap();
        Self { client, driver, driver_url, _profile: profile }
    }

    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// The element, as soon as it is there.
    pub(crate) async fn find(&self, css: &str) -> Element {
        self.client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("there is no {css}: {error}"))
    }

    pub(crate) async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap_or_else(|error| panic!("{css} cannot be clicked: {error}"));
    }

    /// Clicks on the link or button with this text.
    pub(crate) async fn press(&self, text: &str) {
        let path = format!("//*[self::a or self::button or self::summary][normalize-space()={text:?}]");
        let element = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&path)).await;
        let element = element.unwrap_or_else(|error| panic!("there is nothing named {text:?} to press: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{text:?} cannot be pressed: {error}"));
    }

    /// Drags the mouse over the element, from one share of its width to another.
    pub(crate) async fn drag(&self, css: &str, from: f64, to: f64) {
        let (left, top, width, height) = self.find(css).await.rectangle().await.unwrap();
        let moved = |share: f64| PointerAction::MoveTo {
            duration: Some(Duration::from_millis(100)),
            x: (left + width * share).floor(),
            y: (top + height / 2.0).floor(),
        };
        let actions = MouseActions::new("mouse".to_owned())
            .then(moved(from))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(moved(f64::midpoint(from, to)))
            .then(moved(to))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Waits until the page says `text` somewhere in `css`.
    pub(crate) async fn says(&self, css: &str, text: &str) {
        let began = Instant::now();
        loop {
            // While the browser is on its way to another page it may not answer.
            let script = format!("return document.querySelector({css:?})?.innerText ?? ''");
            let said = self.client.execute(&script, Vec::new()).await.unwrap_or_default();
            let said = said.as_str().unwrap_or_default();
            if said.contains(text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{css} does not say {text:?} but {said:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Chooses the look of the pages, as the button in the bar does.
    pub(crate) async fn look(&self, theme: &str) {
        self.script(&format!("document.cookie = 'karat_theme={theme}; path=/'")).await;
        self.client.refresh().await.unwrap();
    }

    /// Keeps a picture of the window under `target/screenshots`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// What the console said that is a warning or worse, a forbidden script or style among it.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        // A command of Chromium's own.
        let session = self.client.session_id().await.unwrap().unwrap();
        let request = reqwest::Client::new()
            .post(format!("{}/session/{session}/se/log", self.driver_url))
            .json(&json!({ "type": "browser" }));
        let log: Value = request.send().await.unwrap().json().await.unwrap();
        let entries = log["value"].as_array().cloned().unwrap();
        entries
            .iter()
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")))
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// Whether anything of the page is wider than the window.
    pub(crate) async fn overflows(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth + 1";
        self.script(script).await.as_bool().unwrap()
    }

    /// What axe finds on the page that is serious or worse; nothing when axe is not there.
    pub(crate) async fn barriers(&self) -> Vec<String> {
        let Some(axe) = axe() else { return Vec::new() };
        self.client.execute(&axe, Vec::new()).await.unwrap();
        let found = self
            .client
            .execute_async(
                "const done = arguments[arguments.length - 1];
                 axe.run(document, { resultTypes: ['violations'] }).then((result) => done(result.violations
                     .filter((one) => ['serious', 'critical'].includes(one.impact))
                     .map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html).join(' | ')}`)),
                     (error) => done([String(error)]));",
                Vec::new(),
            )
            .await
            .unwrap();
        found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }
}

/// The script of axe, from `KARAT_AXE`.
fn axe() -> Option<String> {
    let Some(path) = std::env::var_os("KARAT_AXE") else {
        println!("skipped: KARAT_AXE does not name axe.min.js (npm package axe-core)");
        return None;
    };
    Some(std::fs::read_to_string(path).unwrap())
}
