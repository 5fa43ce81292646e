//! What is told of an asset beside the graph.

use std::sync::Arc;

use askama::Template;
use chrono::{DateTime, Utc};

use super::graph::Standing;
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::service::{AssetPicture, FailingCheckView, Picture, ServiceError};
use crate::web::App;
use crate::web::page::Page;
use crate::web::words;

/// How many neighbours are named on each side.
const NAMED: usize = 20;

/// What is told of an asset beside the graph.
#[derive(Template)]
#[template(path = "lineage/panel.html")]
pub(super) struct Panel {
    page: Page,
    spec: Arc<AssetSpec>,
    standing: Standing,
    /// `None` while it is not known how it stands.
    picture: Option<Arc<AssetPicture>>,
    due_at: Option<DateTime<Utc>>,
    counts: Vec<Count>,
    failing_checks: Vec<FailingCheckView>,
    sides: [Side; 2],
}

impl askama::filters::HtmlSafe for Panel {}

/// Partitions that are not as they should be.
struct Count {
    class: &'static str,
    count: u64,
    word: &'static str,
    /// Which they are.
    text: String,
    /// Why, if that is known.
    reason: Option<String>,
}

/// The neighbours on one side.
struct Side {
    heading: &'static str,
    /// The selection of all of them.
    selection: String,
    named: Vec<(AssetKey, Standing)>,
    more: usize,
}

impl Panel {
    pub(super) async fn new(app: &App, page: &Page, picture: &Picture, name: &str) -> Result<Self, ServiceError> {
        let definitions = app.service.definitions();
        let spec = definitions.find(name)?.clone();
        let known = picture.asset(&spec.key).cloned();
        let side = |heading, selection, keys: Vec<&AssetKey>| Side {
            heading,
            selection,
            more: keys.len().saturating_sub(NAMED),
            named: keys.into_iter().take(NAMED).map(|key| (key.clone(), Standing::of(page, picture, key))).collect(),
        };
        let graph = definitions.graph();
        let promised = known.as_ref().and_then(|picture| picture.freshness.and_then(|freshness| freshness.due_at));
        let closes = spec.partitions.next_close(page.now).filter(|_| spec.is_materializable());
        Ok(Self {
            standing: Standing::of(page, picture, &spec.key),
            due_at: promised.or(closes),
            counts: known.as_ref().map(|picture| counts(page, &spec, picture)).unwrap_or_default(),
            failing_checks: app.service.failing_checks(&spec.key).await?,
            sides: [
                side(page.t("Reads", "Liest"), format!("1+{}", spec.key), graph.upstream(&spec.key)),
                side(page.t("Is read by", "Wird gelesen von"), format!("{}+1", spec.key), graph.downstream(&spec.key)),
            ],
            picture: known,
            page: page.clone(),
            spec,
        })
    }

    pub(super) fn asset(&self) -> &AssetKey {
        &self.spec.key
    }

    fn partitioned(&self) -> &'static str {
        words::partitioned(&self.page, self.spec.partitions.as_str())
    }

    fn is_overdue(&self, due_at: &DateTime<Utc>) -> bool {
        *due_at <= self.page.now
    }

    /// The first paragraph of the description.
    fn summary(&self) -> &str {
        self.spec.description.split("\n\n").next().unwrap_or_default()
    }
}

fn counts(page: &Page, spec: &AssetSpec, picture: &AssetPicture) -> Vec<Count> {
    let given_up = picture.given_up();
    let failure = picture.failed.iter().find(|(first, last, _)| !given_up.clip(*first, *last).is_empty());
    let reason = failure.and_then(|(_, _, unbuilt)| unbuilt.reason.clone());
    let sets = [
        ("state-failed", page.t("failed", "fehlgeschlagen"), given_up, reason),
        ("state-running", page.t("under way", "in Arbeit"), picture.under_way(), None),
        (
            "state-missing",
            page.t("missing", if picture.missing.len() == 1 { "fehlt" } else { "fehlen" }),
            picture.missing.clone(),
            None,
        ),
        ("state-stale", page.t("stale", "veraltet"), picture.stale.partitions(), None),
    ];
    let counts = sets.into_iter().filter(|(_, _, subset, _)| !subset.is_empty());
    counts
        .map(|(class, word, subset, reason)| {
            let text = page.partitions_of(&spec.partitions, &subset);
            Count { class, count: subset.len(), word, text, reason }
        })
        .collect()
}
