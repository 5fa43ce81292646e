//! Metrics as text, in the format that the one who asks prefers.

use std::fmt;

use axum::http::{HeaderMap, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::engine::measure::DURATION_BOUNDS;
use crate::service::{MetricFamily, MetricKind, Value};

/// The metrics and their media type: OpenMetrics for who accepts it, as Prometheus does, and the plain text format for
/// everybody else.
pub(super) fn rendered(headers: &HeaderMap, families: Vec<MetricFamily>) -> Result<(&'static str, String), fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut open_metrics = String::new();
    text::encode(&mut open_metrics, &registry)?;
    let accepts_open_metrics = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accepted| accepted.to_str().is_ok_and(|text| text.contains("application/openmetrics-text")));
    Ok(if accepts_open_metrics {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", open_metrics)
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", plain(&open_metrics))
    })
}

#[derive(Debug)]
struct Families(Vec<MetricFamily>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.iter().filter(|family| !family.samples.is_empty()) {
            let metric_type = match family.kind {
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Histogram => MetricType::Histogram,
            };
            let mut metrics = encoder.encode_descriptor(family.name, family.help, None, metric_type)?;
            for sample in &family.samples {
                if sample.labels.is_empty() {
                    encode(&mut metrics, &sample.value, family.kind)?;
                } else {
                    encode(&mut metrics.encode_family(&sample.labels)?, &sample.value, family.kind)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(metric: &mut MetricEncoder<'_>, value: &Value, kind: MetricKind) -> fmt::Result {
    match (value, kind) {
        (Value::Number(value), MetricKind::Counter) => metric.encode_counter::<NoLabelSet, f64, f64>(value, None),
        (Value::Number(value), _) => metric.encode_gauge(value),
        (Value::Durations(durations), _) => {
            let bounds = DURATION_BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(durations.counts).collect();
            metric.encode_histogram::<NoLabelSet>(durations.sum, durations.counts.iter().sum(), &buckets, None)
        }
    }
}

/// The plain text format, in which a counter's description bears the counter's full name, and which has no last line.
fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let counters: Vec<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let described = line.strip_prefix("# ").and_then(|rest| {
            let mut words = rest.splitn(3, ' ');
            Some((words.next()?, words.next()?, words.next()?))
        });
        match described {
            Some((keyword, name, rest)) if counters.contains(&name) => {
                text.push_str(&format!("# {keyword} {name}_total {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}
