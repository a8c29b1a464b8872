//! Envelopes and their signatures.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::app::{App, WebhookRule};
use mynah_domain::outbox::{Delivery, Endpoint};
use mynah_domain::ports::Clock;
use mynah_integrations::webhook::{NotSealed, Sealed, Sealer};
use mynah_protocol::pusher::signature;
use mynah_protocol::pusher::webhook::{KEY_HEADER, SIGNATURE_HEADER, envelope};

use crate::apps::Apps;

/// Signs with the newest key that the app has when the call is made, however old the events are.
pub(super) struct PusherSealer {
    apps: Apps,
    clock: Arc<dyn Clock>,
}

impl PusherSealer {
    pub(super) fn new(apps: Apps, clock: Arc<dyn Clock>) -> Self {
        Self { apps, clock }
    }
}

#[async_trait]
impl Sealer for PusherSealer {
    async fn seal(
        &self,
        endpoint: &Endpoint,
        deliveries: &[Delivery],
    ) -> Result<Sealed, NotSealed> {
        let app = self.apps.by_id(endpoint.app.as_str()).await;
        let app =
            app.map_err(|error| NotSealed::Later(format!("the app was not found: {error}")))?;
        let app = app.ok_or_else(|| NotSealed::Gone("there is no such app any more".to_owned()))?;
        if !app.is_enabled {
            return Err(NotSealed::Later("the app is disabled".to_owned()));
        }
        let rule = rule(&app, endpoint)
            .ok_or_else(|| NotSealed::Gone("the app has no such webhook any more".to_owned()))?;
        let key = app
            .newest_key(self.clock.now())
            .ok_or_else(|| NotSealed::Later("the app has no valid key".to_owned()))?;
        let happened = super::teller::time_ms(deliveries.iter().map(|d| d.created_at));
        let body = envelope(happened, deliveries.iter().map(|d| d.event.as_str()));
        let signature = signature::webhook(key.secret.expose(), body.as_bytes());
        let own = [
            ("Content-Type", "application/json".to_owned()),
            (KEY_HEADER, key.key.clone()),
            (SIGNATURE_HEADER, signature),
        ];
        let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let given = rule.headers.iter().filter(|(name, _)| !is_own(name)).cloned();
        let mut headers: Vec<(String, String)> = given.collect();
        headers.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Ok(Sealed { headers, body })
    }
}

/// The webhook that an endpoint was made of; if the app has fewer with its url now, the first of them.
fn rule<'a>(app: &'a App, endpoint: &Endpoint) -> Option<&'a WebhookRule> {
    let mut same = app.webhooks.iter().filter(|rule| rule.url == *endpoint.url);
    same.clone().nth(endpoint.rule as usize).or_else(|| same.next())
}
