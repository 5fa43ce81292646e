//! What a declaration promises, in words.

use chrono::{DateTime, Utc};

use crate::asset::spec::AssetSpec;
use crate::core::cron::CronExpression;
use crate::core::mapping::PartitionMapping;
use crate::core::partition::Ordinal;
use crate::core::policy::{AssetCheck, CheckRule, FreshnessPolicy, FreshnessRule, RetryPolicy, WriteMode};
use crate::service::AssetPicture;
use crate::web::page::Page;
use crate::web::words;

/// How many ticks of automation are told.
const TOLD_TICKS: usize = 3;

/// A policy: what it is about, and what it says.
pub(super) struct Policy {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// More to say, line by line.
    pub(super) more: Vec<String>,
}

/// The instant as clocks in the zone show it, with the offset from UTC.
pub(super) fn local(page: &Page, at: DateTime<Utc>) -> String {
    page.time_offset(&at).text().to_owned()
}

/// All of an asset.
pub(super) fn policies(page: &Page, spec: &AssetSpec, picture: &AssetPicture) -> Vec<Policy> {
    let policy = |name, text: String| Policy { name, text, more: Vec::new() };
    let mut policies = Vec::new();
    if spec.is_materializable() {
        let ticks = spec.automation.cron_expressions().into_iter().filter_map(|text| CronExpression::parse(text).ok());
        let ticks = ticks.flat_map(|cron| {
            let ticks = cron.ticks_between(page.now, DateTime::<Utc>::MAX_UTC, page.zone).take(TOLD_TICKS);
            ticks.collect::<Vec<_>>()
        });
        let more = ticks.map(|at| local(page, at)).collect();
        let text = page.rule(&spec.automation);
        policies.push(Policy { name: page.t("Automation", "Automatik"), text, more });
        policies.push(policy(page.t("Waiting for inputs", "Warten auf Eingaben"), page.wait(spec.wait)));
        policies.push(policy(page.t("Repeating", "Wiederholung"), retry(page, &spec.retry)));
        policies.push(policy(page.t("Writing", "Schreiben"), writing(page, &spec.write_mode)));
    }
    let mut kept =
        Policy { name: page.t("Freshness", "Aktualität"), text: freshness(page, spec.freshness), more: vec![] };
    if let Some(state) = picture.freshness {
        kept.more.push(words::state(page, state.state.as_str()).to_owned());
    }
    policies.push(kept);
    if let Some(limit) = spec.late_limit {
        let (before, after) = (
            page.t("rows that come more than", "Zeilen, die mehr als"),
            page.t(
                "after their partition ended wait in quarantine for a decision",
                "nach dem Ende ihrer Partition kommen, warten in Quarantäne auf eine Entscheidung",
            ),
        );
        policies.push(policy(page.t("Late rows", "Späte Zeilen"), format!("{before} {} {after}", page.span(limit))));
    }
    if let Some(timeout) = spec.timeout {
        let text = format!("{} {}", page.t("an attempt may take", "ein Versuch darf dauern:"), page.span(timeout));
        policies.push(policy(page.t("Time limit", "Zeitgrenze"), text));
    }
    if let Some(pool) = &spec.pool {
        let text = format!("{} `{pool}`", page.t("counts against the pool", "zählt gegen den Pool"));
        policies.push(policy("Pool", text));
    }
    if spec.range_partitions > 1 {
        let text = format!(
            "{} {} {}",
            page.t("up to", "bis zu"),
            page.number(spec.range_partitions),
            page.t("partitions are built by one statement", "Partitionen werden von einer Anweisung gebaut")
        );
        policies.push(policy(page.t("Ranges", "Bereiche"), text));
    }
    policies
}

fn retry(page: &Page, policy: &RetryPolicy) -> String {
    if policy.retries == 0 {
        return page
            .t("a failed attempt is not repeated", "ein gescheiterter Versuch wird nicht wiederholt")
            .to_owned();
    }
    let delay = page.span(policy.delay);
    let growth = match policy.exponential {
        true => format!(
            "{delay} {} {}",
            page.t("and then twice as long each time, up to", "und dann jeweils doppelt so lange, höchstens"),
            page.span(policy.delay_limit)
        ),
        false => delay,
    };
    format!(
        "{} {}, {} {growth}",
        page.t("attempts are repeated at most", "Versuche werden wiederholt, höchstens"),
        page.so_many(policy.retries, page.t("time", "Mal"), page.t("times", "Mal")),
        page.t("after", "nach"),
    )
}

fn writing(page: &Page, mode: &WriteMode) -> String {
    match mode {
        WriteMode::ReplacePartition => {
            page.t("a partition is replaced as a whole", "eine Partition wird als Ganzes ersetzt").to_owned()
        }
        WriteMode::Append { natural_key } => format!(
            "{} ({})",
            page.t("rows are added unless their key is there", "Zeilen kommen hinzu, wenn ihr Schlüssel noch fehlt"),
            natural_key.join(", ")
        ),
    }
}

fn freshness(page: &Page, policy: Option<FreshnessPolicy>) -> String {
    match policy.map(|policy| policy.rule) {
        None => page.t("nothing is promised", "nichts ist zugesagt").to_owned(),
        Some(FreshnessRule::MaximumLag(lag)) => {
            format!("{} {}", page.t("what is there may be at most so old:", "höchstens so alt:"), page.span(lag))
        }
        Some(FreshnessRule::Deadline(cron)) => {
            format!("{} `{cron}`", page.t("it must be there at each tick of", "muss da sein zu jedem Zeitpunkt von"))
        }
    }
}

/// Which partitions of an upstream are read.
pub(super) fn mapping(page: &Page, mapping: PartitionMapping) -> String {
    match mapping {
        PartitionMapping::Overlap => {
            page.t("the same time or key", "dieselbe Zeit oder denselben Schlüssel").to_owned()
        }
        PartitionMapping::All => page.t("all there is", "alles").to_owned(),
        PartitionMapping::Latest => page.t("the newest that has ended", "die jüngste abgeschlossene").to_owned(),
        PartitionMapping::Window { start, end } => {
            let from = match start {
                Ordinal::MIN => page.t("the beginning", "Anfang").to_owned(),
                start => distance(page, start),
            };
            format!("{} {from} {} {}", page.t("from", "von"), page.t("to", "bis zu"), distance(page, end))
        }
    }
}

/// How far from the partition that reads.
fn distance(page: &Page, offset: Ordinal) -> String {
    match offset {
        0 => page.t("the same one", "derselben").to_owned(),
        offset if offset < 0 => format!("{} {}", page.number(offset.saturating_neg()), page.t("before", "davor")),
        offset => format!("{} {}", page.number(offset), page.t("after", "danach")),
    }
}

/// What a check demands.
pub(super) fn check(page: &Page, check: &AssetCheck) -> String {
    match &check.rule {
        CheckRule::NotNull { column } => format!("{column} {}", page.t("is never null", "ist nie null")),
        CheckRule::Unique { columns } => {
            format!("({}) {}", columns.join(", "), page.t("is there once", "kommt einmal vor"))
        }
        CheckRule::AcceptedValues { column, values } => {
            format!("{column} {} {}", page.t("is one of", "ist eines von"), values.join(", "))
        }
        CheckRule::RowCount { at_least, at_most } => match at_most {
            Some(most) => {
                let (least, most) = (page.number(*at_least), page.number(*most));
                format!("{least} {} {most} {}", page.t("to", "bis"), page.t("rows", "Zeilen"))
            }
            None => {
                format!("{} {}", page.t("at least", "mindestens"), page.row_count(*at_least))
            }
        },
        CheckRule::References { column, asset, target } => {
            format!("{column} {} {asset}.{target}", page.t("is in", "steht in"))
        }
        CheckRule::Freshness { column, maximum_age } => {
            let age = page.span(*maximum_age);
            format!("{column} {} {age}", page.t("is never older than", "ist nie älter als"))
        }
        CheckRule::Sql { .. } => page.t("a query finds no row", "eine Abfrage findet keine Zeile").to_owned(),
    }
}
