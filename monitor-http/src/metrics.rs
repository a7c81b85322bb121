//! The counts in the text format that Prometheus reads.

use std::{collections::BTreeMap, fmt, sync::Arc};

use monitor_core::{Counts, Reading, Sample};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text},
    metrics::MetricType,
    registry::Registry,
};

/// Content type of [`render`]'s text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry of our own: the host's metrics are its own affair.
pub(crate) fn registry(counts: Arc<Counts>) -> Registry {
    let mut registry = Registry::with_prefix("monitor");
    registry.register_collector(Box::new(Exported(counts)));
    registry
}

pub(crate) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Exported(Arc<Counts>);

impl Collector for Exported {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut families: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
        for sample in self.0.samples() {
            families.entry(sample.name).or_default().push(sample);
        }
        for (name, samples) in families {
            let metric_type = match samples.first().map(|sample| sample.value) {
                Some(Reading::Counter(_)) => MetricType::Counter,
                _ => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(name, help(name), None, metric_type)?;
            for sample in samples {
                match sample.label {
                    Some(label) => encode(&mut family.encode_family(&[label])?, sample.value)?,
                    None => encode(&mut family, sample.value)?,
                }
            }
        }
        Ok(())
    }
}

fn encode(metric: &mut MetricEncoder<'_>, value: Reading) -> Result<(), fmt::Error> {
    match value {
        Reading::Counter(n) => metric.encode_counter::<[(&str, &str); 0], u64, u64>(&n, None),
        Reading::Gauge(n) => metric.encode_gauge(&n),
    }
}

fn help(name: &str) -> &'static str {
    match name {
        "events_received" => "Events found in requests that could be read",
        "events_accepted" => "Events that became durable and whose sender was told so",
        "requests" => "Ingest requests whose body was read",
        "request_bytes" => "Bytes of request bodies, as sent",
        "spool_commits" => "Commits of the spool",
        "dead_letters_dropped" => "Dead letters that were dropped because there were too many",
        "messages_consumed" => "Messages of topics that were dealt with: written, dead, dropped or known as copies",
        "rollup_days_built" => "Days whose rollups were built, counted as often as they were",
        "rollup_days_waiting" => "Days whose rollups are not up to date",
        "consumer_lag_messages" => "Messages of a partition that are not dealt with yet",
        "events_rejected" => "Events refused for good, by code",
        "events_dropped" => "Events ended by an enricher or a rule, by reason",
        "requests_refused" => "Requests refused as a whole, by code",
        "client_events_discarded" => "Events that clients lost before sending, by their own reports",
        "events_delivered" => "Events confirmed by a sink",
        "events_duplicate" => "Events that turned out to be copies, by the stage that noticed",
        "events_requeued" => "Dead letters that were put back into the spool",
        "events_dead_lettered" => "Events that a sink refused for good",
        "events_expired" => "Events that became too old before they were delivered, or were deleted when their sink was not installed",
        "spool_quarantined" => "Events of spooled envelopes that could not be read again",
        "batches_retried" => "Attempts to write a batch that failed and are repeated",
        "batches_delivered" => "Batches confirmed by a sink",
        "live_events_dropped" => "Events that live viewers were too slow for",
        "restarts" => "Restarts of supervised parts",
        "receivers_failed" => "Receivers that ended before they were told to, by how",
        "spool_events" => "Events in the spool, by the sink they wait for",
        "spool_bytes" => "Bytes in the spool",
        "spool_age_milliseconds" => "Age of the oldest undelivered envelope, in milliseconds",
        "dead_letters" => "Dead letters kept, by sink",
        "in_flight_bytes" => "Bytes of request bodies in memory",
        "live_viewers" => "Live viewers",
        _ => "A number of the monitor",
    }
}

#[cfg(test)]
mod tests {
    use monitor_core::{Gauge, Labelled, Total};

    use super::*;

    #[test]
    fn every_number_has_a_help_text_and_labels_are_escaped() {
        let counts = Arc::new(Counts::new());
        counts.add(Total::Accepted, 3);
        counts.count(Labelled::Rejected, "too_deep", 2);
        counts.count(Labelled::Delivered, "a\"b\n", 1);
        counts.set(Gauge::SpoolBytes, "", 9);
        let text = render(&registry(counts)).unwrap();
        for line in [
            "# HELP monitor_events_accepted Events that became durable and whose sender was told so",
            "# TYPE monitor_events_accepted counter",
            "monitor_events_accepted_total 3",
            "monitor_events_rejected_total{code=\"too_deep\"} 2",
            "monitor_events_delivered_total{sink=\"a\\\"b\\n\"} 1",
            "# TYPE monitor_spool_bytes gauge",
            "monitor_spool_bytes 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains(help("?")), "{text}");
    }
}
