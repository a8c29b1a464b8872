//! Numbers for operators, by app.

use std::fmt;
use std::sync::Arc;

use mynah_integrations::webhook::{AppStats, Webhooks};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::queue::Queue;

struct Figures {
    webhooks: Webhooks,
    queue: Arc<Queue>,
}

/// `mynah_webhook_…{app_id="…"}`.
pub(super) fn figures(webhooks: Webhooks, queue: Arc<Queue>) -> Box<dyn Collector> {
    Box::new(Figures { webhooks, queue })
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

/// One number of each app.
struct Figure {
    name: &'static str,
    help: &'static str,
    /// Whether it only grows.
    is_total: bool,
    of: fn(&AppStats) -> u64,
}

const fn total(name: &'static str, help: &'static str, of: fn(&AppStats) -> u64) -> Figure {
    Figure { name, help, is_total: true, of }
}

const fn level(name: &'static str, help: &'static str, of: fn(&AppStats) -> u64) -> Figure {
    Figure { name, help, is_total: false, of }
}

const FIGURES: [Figure; 6] = [
    total("webhook_delivered", "Events taken by endpoints", |s| s.delivered),
    total("webhook_failed", "Attempts to deliver an event that failed", |s| s.failed),
    total("webhook_given_up", "Events that became dead letters", |s| s.given_up),
    total("webhook_displaced", "Events that became dead letters because too many waited", |s| {
        s.displaced
    }),
    level("webhook_pending", "Events waiting to be delivered", |s| s.pending),
    level("webhook_dead", "Dead letters", |s| s.dead),
];

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let lost = ConstCounter::new(self.queue.lost());
        let help = "Events lost before they could be stored";
        lost.encode(encoder.encode_descriptor("webhook_lost", help, None, MetricType::Counter)?)?;
        let stats = self.webhooks.stats();
        if stats.is_empty() {
            return Ok(());
        }
        for Figure { name, help, is_total, of } in &FIGURES {
            let kind = if *is_total { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for app in &stats {
                let labels = [("app_id", app.app.as_str())];
                let metric = family.encode_family(&labels)?;
                if *is_total {
                    ConstCounter::new(of(app)).encode(metric)?;
                } else {
                    ConstGauge::new(of(app).cast_signed()).encode(metric)?;
                }
            }
        }
        Ok(())
    }
}
