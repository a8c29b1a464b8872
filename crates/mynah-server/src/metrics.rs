//! Counters in the Prometheus text format.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the request time buckets, in seconds.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    /// The route's template, never the path itself.
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    bucket: &'static str,
}

/// One number read at scrape time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Name without the `mynah_` prefix and without a `_total` suffix.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Whether it only grows or goes up and down.
    pub kind: SampleKind,
    /// The number.
    pub value: u64,
}

/// Sort of a [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// All counters of the process.
pub struct Metrics {
    registry: RwLock<Registry>,
    requests: Family<Request, Counter<u64, AtomicU64>>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    logins: Family<Outcome, Counter<u64, AtomicU64>>,
    refused_tokens: Family<Outcome, Counter<u64, AtomicU64>>,
    limited: Family<Limit, Counter<u64, AtomicU64>>,
    lines: RwLock<Vec<Box<dyn Fn() -> String + Send + Sync>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Starts at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("mynah");
        let requests = Family::default();
        let seconds =
            Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let logins = Family::default();
        let refused_tokens = Family::default();
        let limited = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_seconds", "Time to answer a request", seconds.clone());
        registry.register("logins", "Sign-ins tried", logins.clone());
        registry.register("refused_tokens", "Access tokens refused", refused_tokens.clone());
        registry.register("rate_limited", "Calls refused by a rate limit", limited.clone());
        let (registry, lines) = (RwLock::new(registry), RwLock::default());
        Self { registry, requests, seconds, logins, refused_tokens, limited, lines }
    }

    /// Counts an answered request.
    pub fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let request = Request { method, route: route.to_owned(), status: u32::from(status) };
        self.requests.get_or_create(&request).inc();
        let route = Route { route: route.to_owned() };
        self.seconds.get_or_create(&route).observe(took.as_secs_f64());
    }

    /// Counts a try to sign in; `outcome` is a fixed word such as `ok`.
    pub fn login(&self, outcome: &'static str) {
        self.logins.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a refused access token; `outcome` is a fixed word such as `expired`.
    pub fn refused_token(&self, outcome: &'static str) {
        self.refused_tokens.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a call refused by a rate limit.
    pub fn limited(&self, bucket: &'static str) {
        self.limited.get_or_create(&Limit { bucket }).inc();
    }

    /// Adds numbers that are read at each scrape, e.g. from the hub's or the store's statistics.
    pub fn add_source(&self, read: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        self.registry.write().register_collector(Box::new(Source(Box::new(read))));
    }

    /// Adds families that are not ours to name, as lines of the OpenMetrics text format.
    pub(crate) fn add_lines(&self, write: impl Fn() -> String + Send + Sync + 'static) {
        self.lines.write().push(Box::new(write));
    }

    /// Adds families that are read at each scrape.
    pub fn add_collector(&self, collector: Box<dyn Collector>) {
        self.registry.write().register_collector(collector);
    }

    /// Writes everything in the OpenMetrics text format.
    ///
    /// # Errors
    /// Never in practice; the formatter's error is passed on.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(8 * 1024);
        encode_registry(&mut text, &self.registry.read())?;
        for write in &*self.lines.read() {
            text.push_str(&write());
        }
        encode_eof(&mut text)?;
        Ok(text)
    }
}

struct Source(Box<dyn Fn() -> Vec<Sample> + Send + Sync>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for Sample { name, help, kind, value } in (self.0)() {
            match kind {
                SampleKind::Counter => {
                    let counter = ConstCounter::new(value);
                    let kind = counter.metric_type();
                    counter.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
                }
                SampleKind::Gauge => {
                    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                    let kind = gauge.metric_type();
                    gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_sources_are_scraped_by_name() {
        let metrics = Metrics::new();
        metrics.request("GET", "/v1/rooms/{id}", 200, Duration::from_millis(3));
        metrics.login("ok");
        metrics.add_source(|| {
            let (kind, help) = (SampleKind::Gauge, "Live sessions");
            vec![Sample { name: "sessions", help, kind, value: 7 }]
        });
        metrics.add_lines(|| "other 1\n".to_owned());
        let text = metrics.text().unwrap();
        for line in [
            "mynah_http_requests_total{method=\"GET\",route=\"/v1/rooms/{id}\",status=\"200\"} 1",
            "mynah_http_request_seconds_bucket{le=\"0.005\",route=\"/v1/rooms/{id}\"} 1",
            "mynah_logins_total{outcome=\"ok\"} 1",
            "mynah_sessions 7",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(text.ends_with("\nother 1\n# EOF\n"), "{text}");
    }
}
