//! Accounts and sign-ins.

use mynah_domain::account::{
    AccountError, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation,
};
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};

use tokio::task::JoinSet;

use super::{Subject, reading};

impl Subject {
    async fn is_alive(&self, family: &SessionFamily, at: i64) -> bool {
        let family = std::slice::from_ref(family);
        let ended = self.accounts.ended_sessions(family, Timestamp(at)).await;
        ended.expect("read").is_empty()
    }
}

/// `Ada` and `ada` are one username; an address belongs to one account.
pub async fn names_are_unique_in_any_case(s: Subject) {
    s.user("ada").await;
    let taken = |account: NewAccount| async { s.accounts.create_account(account).await };
    let clash = NewAccount { username: "ADA".into(), email: None, ..s.account("other") };
    assert_eq!(taken(clash).await, Err(AccountError::Taken { field: "username" }));
    let clash = NewAccount { email: Some("ada@example.org".into()), ..s.account("other") };
    assert_eq!(taken(clash).await, Err(AccountError::Taken { field: "email" }));
    let nobody = s.accounts.user(&s.account("x").tenant, &UserId::trusted("other")).await;
    assert_eq!(nobody, Ok(None), "a refusal writes nothing");
    let mut pair = (s.account("bob"), s.account("eve"));
    pair.0.email = None;
    pair.1.email = None;
    assert!(taken(pair.0).await.is_ok() && taken(pair.1).await.is_ok(), "no address is no clash");
}

/// Whoever comes from several places at once has one account; the places are told which of them made it. The same
/// names in another tenant are others.
pub async fn accounts_made_together_are_made_once(s: Subject) {
    let other = TenantId::trusted("other");
    let mut asked = Vec::new();
    for n in (0..40).rev() {
        let account = s.account(&format!("new{n}"));
        asked.push(NewAccount { tenant: other.clone(), ..account.clone() });
        asked.extend([account.clone(), account]);
    }
    let mut making = JoinSet::new();
    for account in asked {
        let accounts = s.accounts.clone();
        making.spawn(async move { accounts.create_account(account).await });
    }
    let mut users = Vec::new();
    for outcome in making.join_all().await {
        match outcome {
            Ok(user) => users.push(user),
            Err(error) => assert_eq!(error, AccountError::Taken { field: "username" }),
        }
    }
    assert_eq!(users.len(), 80);
    for user in users {
        let stored = s.accounts.user(&user.tenant, &user.id).await.expect("read");
        assert_eq!(stored.as_ref(), Some(&user), "as it was answered");
        let credential = s.accounts.credential(&user.tenant, &user.username).await.expect("read");
        assert!(credential.is_some(), "{user:?}");
    }
}

/// By username in any case, by address; without a password there is no credential.
pub async fn credentials_are_found_by_either_login(s: Subject) {
    let ada = s.user("Ada").await;
    for login in ["ada", "Ada"] {
        let found = s.accounts.credential(&ada.tenant, login).await.expect("read").expect(login);
        assert_eq!(
            (found.user.id, found.password_hash.as_str()),
            (ada.user.clone(), "hash of Ada")
        );
    }
    let mut account = s.account("bot");
    account.email = Some("bot@example.org".into());
    account.password_hash = None;
    s.accounts.create_account(account).await.expect("account");
    for login in ["bot", "bot@example.org", "nobody", "nobody@example.org"] {
        let found = s.accounts.credential(&ada.tenant, login).await.expect("read");
        assert!(found.is_none(), "{login}");
    }
}

/// Username or name, any case, by username.
pub async fn people_are_found_by_prefix(s: Subject) {
    for (username, name) in
        [("zoe", "Anna Zeta"), ("Anton", "Toni"), ("bea", "Bea"), ("ann", "Ann")]
    {
        let name = name.to_owned();
        let account = NewAccount { name, ..s.account(username) };
        s.accounts.create_account(account).await.expect("account");
    }
    let tenant = s.account("x").tenant;
    let found = s.accounts.find_users(&tenant, "AN", 10).await.expect("read");
    let names: Vec<_> = found.iter().map(|u| u.username.as_str()).collect();
    assert_eq!(names, ["ann", "Anton", "zoe"]);
    assert_eq!(s.accounts.find_users(&tenant, "", 2).await.expect("read").len(), 2, "limited");
    assert_eq!(s.accounts.find_users(&tenant, "%", 2).await, Ok(vec![]), "no wild cards");
}

/// Messages, members and replay show today's name.
pub async fn a_new_name_shows_everywhere(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let message = s.say(&ada, &room, "m").await;
    let patch = ProfilePatch { name: Some("Ada Lovelace".into()), at: s.tick() };
    let after = s.accounts.update_profile(&ada.tenant, &ada.user, patch).await.expect("written");
    assert_eq!(after.expect("exists").name, "Ada Lovelace");
    let read = s.messages.message(reading(&bob), &message.id).await.expect("read");
    assert_eq!(read.sender.name, "Ada Lovelace");
    assert_eq!(s.say(&ada, &room, "n").await.sender.name, "Ada Lovelace");
    let members = s.rooms.members(reading(&bob), &room, 0, 10).await.expect("read");
    assert_eq!(members.items[0].profile.name, "Ada Lovelace");
    let patch = ProfilePatch { name: None, at: s.tick() };
    let nobody = UserId::trusted("nobody");
    assert_eq!(s.accounts.update_profile(&ada.tenant, &nobody, patch).await, Ok(None));
}

async fn signed_in(s: &Subject, name: &str) -> SessionFamily {
    let actor = s.user(name).await;
    let family = SessionFamily::trusted(format!("family of {name}"));
    let session = NewSession {
        family: family.clone(),
        tenant: actor.tenant,
        user: actor.user,
        refresh_fingerprint: format!("{name}-0"),
        expires_at: Timestamp(100_000),
        at: Timestamp(0),
    };
    s.accounts.open_session(session).await.expect("written");
    family
}

async fn exchange(s: &Subject, presented: &str, next: &str, at: i64) -> &'static str {
    let rotation = RotateSession {
        presented: presented.to_owned(),
        next: next.to_owned(),
        expires_at: Timestamp(at + 100_000),
        grace_ms: 10,
        at: Timestamp(at),
    };
    match s.accounts.rotate_session(rotation).await.expect("written") {
        Rotation::Rotated { .. } => "next",
        Rotation::Reused { .. } => "reused",
        Rotation::Invalid => "invalid",
    }
}

/// A token is good once; an old one that turns up again ends the sign-in.
pub async fn tokens_rotate_and_old_ones_end_the_sign_in(s: Subject) {
    let family = signed_in(&s, "ada").await;
    assert_eq!(exchange(&s, "unknown", "x", 1).await, "invalid");
    assert_eq!(exchange(&s, "ada-0", "ada-1", 1_000).await, "next");
    assert_eq!(exchange(&s, "ada-1", "ada-2", 2_000).await, "next");
    assert!(s.is_alive(&family, 2_001).await);
    assert_eq!(exchange(&s, "ada-0", "thief", 3_000).await, "reused");
    assert!(!s.is_alive(&family, 3_001).await);
    assert_eq!(exchange(&s, "ada-2", "ada-3", 3_002).await, "invalid", "the whole family ended");
    signed_in(&s, "bob").await;
    assert_eq!(exchange(&s, "bob-0", "bob-1", 1_000).await, "next");
    assert_eq!(exchange(&s, "bob-0", "late", 1_011).await, "reused", "beyond the grace");
}

/// Within the grace the same token gives each tab a token of its own, and neither ends the other.
pub async fn two_tabs_both_stay_signed_in(s: Subject) {
    let family = signed_in(&s, "ada").await;
    assert_eq!(exchange(&s, "ada-0", "tab-a", 1_000).await, "next");
    assert_eq!(exchange(&s, "ada-0", "tab-b", 1_010).await, "next");
    assert_eq!(exchange(&s, "tab-a", "tab-a-2", 5_000).await, "next");
    assert_eq!(exchange(&s, "tab-b", "tab-b-2", 9_000).await, "next");
    assert!(s.is_alive(&family, 9_001).await);
    assert_eq!(exchange(&s, "tab-a-2", "tab-a-3", 9_500).await, "next");
    assert_eq!(exchange(&s, "tab-a-3", "tab-a-4", 9_502).await, "next");
    assert_eq!(
        exchange(&s, "tab-a-2", "x", 9_503).await,
        "reused",
        "it no longer directly precedes"
    );
    assert_eq!(exchange(&s, "tab-b-2", "x", 9_504).await, "invalid");
}

/// Ending twice is once; what has run out gives nothing.
pub async fn ended_and_expired_sign_ins_are_dead(s: Subject) {
    let family = signed_in(&s, "ada").await;
    assert!(s.is_alive(&family, 99_999).await);
    assert!(!s.is_alive(&family, 100_000).await);
    assert_eq!(exchange(&s, "ada-0", "x", 100_000).await, "invalid");
    for at in [10, 20] {
        let ended = s.accounts.revoke_session(&family, "logout", Timestamp(at)).await;
        assert_eq!(ended, Ok(()));
        assert!(!s.is_alive(&family, at).await);
    }
    assert_eq!(exchange(&s, "ada-0", "x", 30).await, "invalid");
    let unknown = SessionFamily::trusted("unknown");
    assert_eq!(s.accounts.revoke_session(&unknown, "logout", Timestamp(1)).await, Ok(()));
    assert!(!s.is_alive(&unknown, 1).await);
}

/// Only those that were alive are named.
pub async fn signing_out_everywhere_names_the_living(s: Subject) {
    let ended = signed_in(&s, "ada").await;
    let ada = s.account("ada");
    let open = |n: i64| NewSession {
        family: SessionFamily::trusted(format!("device {n}")),
        tenant: ada.tenant.clone(),
        user: ada.id.clone(),
        refresh_fingerprint: format!("device-{n}"),
        expires_at: Timestamp(50_000),
        at: Timestamp(n),
    };
    for n in 1..=2 {
        s.accounts.open_session(open(n)).await.expect("written");
    }
    let other = signed_in(&s, "bob").await;
    s.accounts.revoke_session(&ended, "logout", Timestamp(5)).await.expect("written");
    let gone = s.accounts.revoke_all_sessions(&ada.tenant, &ada.id, "all", Timestamp(9)).await;
    let names: Vec<String> = gone.expect("written").iter().map(ToString::to_string).collect();
    assert_eq!(names, ["device 1", "device 2"]);
    assert!(s.is_alive(&other, 10).await);
    let again = s.accounts.revoke_all_sessions(&ada.tenant, &ada.id, "all", Timestamp(9)).await;
    assert_eq!(again, Ok(vec![]));
}

/// Revoked ones, expired ones and unknown ones, in the order asked.
pub async fn ended_sign_ins_are_named_among_many(s: Subject) {
    let mut families = Vec::new();
    for name in ["ada", "bob", "eve"] {
        families.push(signed_in(&s, name).await);
    }
    let unknown = SessionFamily::trusted("unknown");
    families.insert(1, unknown.clone());
    s.accounts.revoke_session(&families[2], "logout", Timestamp(5)).await.expect("written");
    let ended = s.accounts.ended_sessions(&families, Timestamp(10)).await;
    assert_eq!(ended, Ok(vec![unknown, families[2].clone()]));
    let ended = s.accounts.ended_sessions(&families, Timestamp(100_000)).await;
    assert_eq!(ended, Ok(families));
    assert_eq!(s.accounts.ended_sessions(&[], Timestamp(0)).await, Ok(vec![]));
}
