//! The Pusher door on its listeners.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use mynah_domain::ports::{Clock, IdSource};
use mynah_integrations::address::Reach;

use super::{doors, gauges};
use crate::config::{Config, PusherConfig};
use crate::deadlines::Deadlines;
use crate::http::Network;
use crate::pusher::api::{ApiParts, PusherApi};
use crate::pusher::webhooks::{PusherWebhookParts, PusherWebhooks};
use crate::pusher::{
    Channels, DoorParts, MemoryGauge, Probes, SoketiMetrics, Threads, exposition, probes,
};
use crate::state::House;
use crate::stores::Stores;

/// What each listener answers for Pusher's clients and back ends.
#[derive(Default)]
pub(super) struct PusherRouters {
    /// Beside everything else on the public listener.
    pub(super) public: Router,
    /// Beside everything else on the operators' listener.
    pub(super) admin: Router,
    /// All that the listener on `pusher.port` answers, if there is one.
    pub(super) own: Option<Router>,
    /// All that the listener on `pusher.metrics_port` answers, if there is one.
    pub(super) metrics: Option<Router>,
}

/// What the door stands on.
pub(super) fn parts(
    config: &Config,
    house: &House,
    (channels, threads): (Channels, Threads),
    (deadlines, clock): (&Deadlines, &Arc<dyn Clock>),
) -> DoorParts {
    DoorParts {
        channels,
        chat: Some(doors::chat_channels(config, house, threads)),
        apps: house.apps.clone(),
        deadlines: deadlines.clone(),
        clock: Arc::clone(clock),
    }
}

/// Opens the door.
pub(super) fn routers(
    config: &Config,
    parts: DoorParts,
    (house, trusted): (&House, &[Network]),
) -> PusherRouters {
    let settings = &config.pusher;
    if !settings.enabled {
        return PusherRouters::default();
    }
    let channels = parts.channels.clone();
    let api = PusherApi::new(ApiParts {
        apps: house.apps.clone(),
        channels: channels.clone(),
        defaults: settings.clone(),
        clock: Arc::clone(&parts.clock),
        metrics: Arc::clone(&house.metrics),
    });
    let memory = Arc::<MemoryGauge>::default();
    let look = Probes {
        health: Arc::clone(&house.health),
        memory: Arc::clone(&memory),
        memory_threshold_percent: settings.memory_threshold_percent,
    };
    let port = settings.port.unwrap_or(config.server.port);
    let sockets = doors::pusher_router(config, parts, (house, trusted));
    let door = sockets.merge(api.router(&settings.path_prefix));
    let read = Box::new(move || api.counts());
    let names = settings.metrics_prefix.clone();
    let metrics = Arc::new(SoketiMetrics::new(names, port, memory, read));
    gauges::watch_channels(&house.metrics, channels);
    if tells_soketi_names(settings) {
        let metrics = Arc::clone(&metrics);
        house.metrics.add_lines(move || exposition::open_metrics(&metrics.families()));
    }
    let prefix = &settings.path_prefix;
    let is_own = settings.port.is_some_and(|port| port != config.server.port || port == 0);
    let own = is_own.then(|| door.clone().merge(probes::front_router(look.clone(), prefix)));
    let back = settings.metrics_port.map(|_| probes::back_router(look.clone(), &metrics, prefix));
    PusherRouters {
        public: door.merge(probes::public_router(look.clone())),
        admin: probes::admin_router(look),
        own,
        metrics: back,
    }
}

/// Starts telling back ends what happens in channels; nothing, if the door is not open.
pub(super) fn webhooks(
    config: &Config,
    stores: &Stores,
    house: &House,
    sources: (&Arc<dyn Clock>, &Arc<dyn IdSource>),
    channels: &Channels,
) -> Option<PusherWebhooks> {
    if !config.pusher.enabled {
        return None;
    }
    warn_of_forbidden_webhooks(&config.pusher);
    let parts = PusherWebhookParts {
        store: Arc::clone(&stores.outbox),
        apps: house.apps.clone(),
        clock: Arc::clone(sources.0),
        ids: Arc::clone(sources.1),
    };
    let webhooks = PusherWebhooks::start(&config.pusher.webhooks, parts);
    webhooks.watch(&house.metrics);
    channels.observe(webhooks.observer());
    Some(webhooks)
}

/// Says at the start which configured webhooks lead where none may go, so that nobody waits for them.
fn warn_of_forbidden_webhooks(settings: &PusherConfig) {
    let reach = Reach { private: settings.webhooks.allow_private_addresses };
    for app in settings.configured_apps().into_iter().flatten() {
        for rule in &app.webhooks {
            if let Some(Err(forbidden)) = literal_address(&rule.url).map(|at| reach.check(at)) {
                tracing::warn!(
                    app = %app.id,
                    address = %forbidden.address,
                    "a webhook of this app is never called: it leads into a network of this machine; \
                     if that is meant, set pusher.webhooks.allow_private_addresses"
                );
            }
        }
    }
}

/// The address that a url names without asking anybody.
fn literal_address(url: &str) -> Option<IpAddr> {
    let url: Uri = url.parse().ok()?;
    match url.host()?.trim_matches(['[', ']']) {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        host => host.parse().ok(),
    }
}

/// Whether the operators' `/metrics` has Soketi's names too: where something was configured as for Soketi,
/// so that others do not scrape numbers twice.
fn tells_soketi_names(settings: &PusherConfig) -> bool {
    settings.port.is_some()
        || settings.metrics_port.is_some()
        || settings.metrics_prefix != PusherConfig::default().metrics_prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_urls_are_found_without_asking() {
        for (url, address) in [
            ("http://10.0.0.5/hook", Some("10.0.0.5")),
            ("https://[fd00::1]:8443/hook", Some("fd00::1")),
            ("http://localhost:3000/hook", Some("127.0.0.1")),
            ("https://hooks.example.org/x", None),
            ("not a url", None),
        ] {
            assert_eq!(literal_address(url), address.map(|at| at.parse().unwrap()), "{url}");
        }
    }
}
