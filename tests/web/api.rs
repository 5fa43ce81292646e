//! The API: each operation, its problems, pages of lists, keys and tags, and its description.

mod description;
mod keys;
mod lists;
mod operations;
mod problems;
mod remote;

use reqwest::Method;
use serde_json::Value;

use crate::server::{Answer, Server};

impl Server {
    /// What an operation of the API answers.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        let answer = self.get(&format!("/api/v1{path}")).await;
        description::check(&self.description().await, "get", path, &answer);
        answer
    }

    async fn description(&self) -> Value {
        self.get("/api/openapi.json").await.json()
    }

    /// What an operation of the API answers, which is as it should be.
    pub(crate) async fn asked(&self, path: &str) -> Value {
        let answer = self.ask(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json"),
            "{path}: {}",
            answer.text
        );
        answer.json()
    }

    /// What an operation that changes something answers.
    pub(crate) async fn tell(&self, path: &str, body: &Value) -> Answer {
        let answer = self.send(self.telling(path).json(body)).await;
        description::check(&self.description().await, "post", path, &answer);
        answer
    }

    fn telling(&self, path: &str) -> reqwest::RequestBuilder {
        self.request(Method::POST, &format!("/api/v1{path}"))
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The kind of the problem; it is one, and says so in every way.
    fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let kind = problem["kind"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("/api#{kind}"));
        assert!(
            !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty(),
            "{problem}"
        );
        kind
    }
}
