//! Why a partition is as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use serde::Deserialize;

use super::policies;
use crate::core::key::AssetKey;
use crate::core::mapping::PartitionMapping;
use crate::service::{InputView, PartitionStanding, WhyView};
use crate::web::App;
use crate::web::access::Viewer;
use crate::web::address::address;
use crate::web::page::{Page, PageResult, rendered};
use crate::web::words;

/// How much of an error is told.
const ERROR_CHARACTERS: usize = 2_000;

#[derive(Deserialize)]
struct Asked {
    partition: Option<String>,
}

#[derive(Template)]
#[template(path = "asset/why.html")]
struct WhyPage {
    page: Page,
    part: WhyPart,
}

#[derive(Template)]
#[template(path = "asset/why_part.html")]
struct WhyPart {
    page: Page,
    why: WhyView,
    /// What is read of which asset.
    mappings: BTreeMap<AssetKey, PartitionMapping>,
}

impl askama::filters::HtmlSafe for WhyPart {}

impl WhyPart {
    fn word<'a>(&'a self, state: &'a str) -> &'a str {
        words::state(&self.page, state)
    }

    /// Which partitions of an upstream are read.
    fn mapping(&self, input: &InputView) -> String {
        self.mappings
            .get(&input.asset)
            .map_or_else(|| input.mapping.clone(), |mapping| policies::mapping(&self.page, *mapping))
    }

    fn here(&self) -> String {
        address(&format!("/assets/{}/why", self.why.asset), [("partition", self.why.partition.as_str())])
    }

    fn shortened(&self, text: &str) -> String {
        self.page.shortened(text, ERROR_CHARACTERS)
    }

    /// What would be built, as an address of the plan; `None` where building makes no sense.
    fn build(&self) -> Option<String> {
        let can_build = matches!(
            self.why.standing,
            PartitionStanding::Missing
                | PartitionStanding::Stale
                | PartitionStanding::Failed
                | PartitionStanding::Blocked
                | PartitionStanding::NotDue
                | PartitionStanding::Fresh
        );
        let upstream = if self.why.missing_upstream.is_empty() { "" } else { "true" };
        let pairs = [("from", self.why.partition.as_str()), ("upstream", upstream)];
        can_build.then(|| address(&format!("/assets/{}/plan", self.why.asset), pairs))
    }

    /// The same as a command line.
    fn build_command(&self) -> String {
        let upstream = if self.why.missing_upstream.is_empty() { "" } else { " --upstream" };
        self.page.command(&format!("materialize {} {}{upstream}", self.why.asset, self.why.partition))
    }

    fn failed_checks(&self) -> usize {
        self.why.checks.iter().filter(|check| !check.passed).count()
    }

    fn is_failed(&self) -> bool {
        matches!(self.why.standing, PartitionStanding::Failed | PartitionStanding::Blocked)
    }

    /// What is queued says itself what it waits for, and what runs had what it needs.
    fn is_under_way(&self) -> bool {
        matches!(self.why.standing, PartitionStanding::Queued | PartitionStanding::Running)
    }

    fn is_external(&self) -> bool {
        self.why.standing == PartitionStanding::External
    }
}

async fn why(
    _: Viewer,
    State(app): State<Arc<App>>,
    page: Page,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let partition = asked.partition.as_deref().filter(|partition| !partition.is_empty());
    let why = app.service.why(&name, partition).await?;
    let spec = app.service.definitions().asset(&why.asset);
    let upstreams = spec.into_iter().flat_map(|spec| &spec.upstreams);
    let mappings = upstreams.map(|upstream| (upstream.key.clone(), upstream.mapping)).collect();
    let part = WhyPart { page: page.clone(), why, mappings };
    if page.is_part { rendered(&part) } else { rendered(&WhyPage { page, part }) }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/assets/{name}/why", get(why))
}
