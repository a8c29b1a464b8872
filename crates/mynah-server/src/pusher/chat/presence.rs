//! Who is there, in both directions: users of the chat are members of presence channels that are the
//! chat's, by whatever door they came.

use std::sync::Arc;

use mynah_domain::account::User;
use mynah_domain::presence::PresenceStatus;
use mynah_domain::{TenantId, UserId};
use mynah_protocol::pusher::presence::Member;
use serde_json::value::RawValue;

use super::threads::{Kind, Link, Threads};
use crate::live::Live;

/// Users that a list of everybody shows at its begin.
const LISTED_MAX: usize = 100_000;

/// What other members see of a user: `{"name":"Ann","email":"a@b.c","role":"member","tenantId":"t"}`.
pub fn user_info(user: &User) -> Option<Box<RawValue>> {
    let info = serde_json::json!({
        "name": user.name,
        "email": user.email,
        "role": user.role.as_str(),
        "tenantId": user.tenant.as_str(),
    });
    RawValue::from_string(info.to_string()).ok()
}

impl Threads {
    /// Shows in the channels concerned that a user of the chat came or went.
    pub(super) async fn show(&self, tenant: &TenantId, user: &UserId, is_here: bool) {
        let mut links = self.of_user(tenant, user);
        links.extend(self.lists(tenant));
        self.show_in(&links, user, is_here).await;
    }

    async fn show_in(&self, links: &[Arc<Link>], user: &UserId, is_here: bool) {
        let Some(first) = links.first() else { return };
        let user_info = if is_here {
            let found = self.0.parts.accounts.user(&first.app.tenant, user).await;
            found.ok().as_ref().and_then(user_info)
        } else {
            None
        };
        let member = Member { user_id: user.as_str().to_owned(), user_info };
        for link in links {
            let channels = &self.0.parts.channels;
            channels.house_member(&link.app, &link.channel, member.clone(), is_here).await;
        }
    }

    /// Shows in a new channel who is there already.
    pub(super) async fn populate(&self, link: &Arc<Link>, live: &Live) {
        let tenant = &link.app.tenant;
        let users = match &link.kind {
            Kind::Pair((one, other)) => vec![one.clone(), other.clone()],
            Kind::Online => live.online(tenant, LISTED_MAX),
            Kind::Room => Vec::new(),
        };
        let is_here = |user: &UserId| live.presence(tenant, user).status == PresenceStatus::Online;
        for user in users {
            if !is_here(&user) {
                continue;
            }
            self.show_in(std::slice::from_ref(link), &user, true).await;
            // Who went meanwhile was announced before being shown here.
            if !is_here(&user) {
                self.show_in(std::slice::from_ref(link), &user, false).await;
            }
        }
    }
}
