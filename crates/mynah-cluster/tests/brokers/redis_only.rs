//! What only Redis has.

use std::path::Path;
use std::process::Command;

use mynah_cluster::TlsOptions;
use mynah_cluster::nats::{self, NatsOptions};
use mynah_cluster::redis::{self, RedisOptions};
use mynah_hub::BrokerEvent;

use crate::certificates::{self, Authority};
use crate::node::{Node, message, short};
use crate::servers;

fn options(url: String) -> RedisOptions {
    RedisOptions { timing: short(), ..RedisOptions::new(url) }
}

#[tokio::test]
async fn a_password_is_sent_and_a_wrong_one_is_not_shown() {
    let server = servers::redis(&[
        "--requirepass",
        "p@ss",
        "--user",
        "ann",
        "on",
        ">s3cret",
        "allchannels",
        "+@all",
    ])
    .await;
    let place = format!("127.0.0.1:{}", server.port);
    for user in [":p%40ss", "ann:s3cret"] {
        let mut node = Node::redis(&options(format!("redis://{user}@{place}/5")));
        node.expect(BrokerEvent::Up).await;
        assert!(node.hear(&["r:1"]).await);
        node.say("r:1", "hello");
        node.expect(message("r:1", "hello")).await;
    }
    for user in [":wrong", "ann:wrong", ""] {
        let mut node = Node::redis(&options(format!("redis://{user}@{place}")));
        node.expect(BrokerEvent::Down).await;
    }
    let error =
        redis::connect(&options("redis://ann:s3cret@[".to_owned())).err().unwrap().to_string();
    assert!(error.starts_with("redis_url:") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_is_down_and_one_who_may_not_publish_is_told() {
    let server = servers::redis(&[
        "--user",
        "deaf",
        "on",
        ">x",
        "resetchannels",
        "&other:*",
        "+@all",
        "--user",
        "dumb",
        "on",
        ">x",
        "allchannels",
        "+subscribe",
        "+unsubscribe",
        "+ping",
    ])
    .await;
    let place = format!("127.0.0.1:{}", server.port);
    let mut deaf = Node::redis(&options(format!("redis://deaf:x@{place}")));
    deaf.expect(BrokerEvent::Up).await;
    assert!(!deaf.hear(&["r:1"]).await);
    deaf.expect(BrokerEvent::Down).await;

    let mut dumb = Node::redis(&options(format!("redis://dumb:x@{place}")));
    dumb.expect(BrokerEvent::Up).await;
    dumb.say("r:1", "hello");
    dumb.expect(BrokerEvent::Unsent).await;
    assert_eq!(dumb.broker.stats().unsent, 1);
    assert!(dumb.broker.stats().is_up);
}

#[tokio::test]
async fn installations_with_different_prefixes_do_not_hear_each_other() {
    let server = servers::redis(&[]).await;
    let url = format!("redis://127.0.0.1:{}", server.port);
    let mut one = Node::redis(&RedisOptions { prefix: "one".to_owned(), ..options(url.clone()) });
    let two = Node::redis(&RedisOptions { prefix: "two".to_owned(), ..options(url) });
    assert!(one.until_heard("r:1").await);
    assert!(two.until_heard("r:1").await);
    two.say("r:1", "not for you");
    one.say("r:1", "for me");
    one.until(message("r:1", "for me")).await;
    assert_eq!(one.broker.stats().received, 1);
}

impl Node {
    /// Subscribes, whether it is up yet or not.
    async fn until_heard(&self, channel: &str) -> bool {
        let began = std::time::Instant::now();
        while began.elapsed() < servers::PATIENCE {
            if self.hear(&[channel]).await {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_on_subscribers_is_down_for_a_moment() {
    let server = servers::redis(&[]).await;
    let mut node = Node::redis(&options(format!("redis://127.0.0.1:{}", server.port)));
    node.expect(BrokerEvent::Up).await;
    assert!(node.hear(&["r:1"]).await);
    let port = server.port.to_string();
    let killed =
        Command::new("redis-cli").args(["-p", &port, "client", "kill", "type", "pubsub"]).output();
    assert!(killed.unwrap().status.success());
    node.expect(BrokerEvent::Down).await;
    node.expect(BrokerEvent::Up).await;
    node.say("r:1", "hello");
    node.expect(message("r:1", "hello")).await;
}

#[tokio::test]
async fn tls_is_spoken_with_an_authority_of_ones_own_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = servers::redis(&[
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        certificate.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
    ])
    .await;
    let url = format!("rediss://localhost:{}", server.port);

    let own = TlsOptions { ca_file: Some(certificate), ..TlsOptions::default() };
    let insecure = TlsOptions { is_insecure: true, ..TlsOptions::default() };
    for tls in [own, insecure] {
        let timing = mynah_cluster::Timing::default();
        let mut node = Node::redis(&RedisOptions { tls, timing, ..options(url.clone()) });
        node.expect(BrokerEvent::Up).await;
        assert!(node.hear(&["r:1"]).await);
        for _ in 0..500 {
            node.say("r:1", vec![b'x'; 1000]);
        }
        for _ in 0..500 {
            node.expect(message("r:1", vec![b'x'; 1000])).await;
        }
    }
    let mut stranger = Node::redis(&options(url));
    stranger.expect(BrokerEvent::Down).await;
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_is_shown_one_and_may_have_another_name() {
    let authority = Authority::new();
    let (server, client) = (authority.vouch("cache.internal"), authority.vouch("mynah"));
    let (ca, [cert, key]) = (authority.file(), server.paths());
    let server = servers::redis(&[
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-ca-cert-file",
        ca.to_str().unwrap(),
        "--tls-cert-file",
        cert,
        "--tls-key-file",
        key,
    ])
    .await;
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let named = |tls| TlsOptions { server_name: Some("cache.internal".to_owned()), ..tls };
    let timing = mynah_cluster::Timing::default();
    let tls = named(authority.believed_as(&client));
    let mut node = Node::redis(&RedisOptions { tls, timing, ..options(url.clone()) });
    node.expect(BrokerEvent::Up).await;
    assert!(node.hear(&["r:1"]).await);
    node.say("r:1", "hello");
    node.expect(message("r:1", "hello")).await;
    for tls in [named(authority.believed()), authority.believed_as(&client)] {
        let mut stranger = Node::redis(&RedisOptions { tls, ..options(url.clone()) });
        stranger.expect(BrokerEvent::Down).await;
    }
}

#[test]
fn files_that_cannot_be_used_are_told_with_their_setting_and_path() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (own, other) = (authority.vouch("own"), authority.vouch("other"));
    let (missing, garbage) = (folder.path().join("no.pem"), certificates::garbage(folder.path()));
    let usual = authority.believed_as(&own);
    let ca = |file: &Path| TlsOptions { ca_file: Some(file.to_owned()), ..usual.clone() };
    let cert = |file: &Path| TlsOptions { cert_file: Some(file.to_owned()), ..usual.clone() };
    let key = |file: &Path| TlsOptions { key_file: Some(file.to_owned()), ..usual.clone() };
    for (tls, setting, path) in [
        (ca(&missing), "tls.ca_file: ", &missing),
        (ca(&own.key), "tls.ca_file: ", &own.key),
        (cert(&missing), "tls.cert_file: ", &missing),
        (cert(&garbage), "tls.cert_file: ", &garbage),
        (key(&missing), "tls.key_file: ", &missing),
        (key(&own.certificate), "tls.key_file: ", &own.certificate),
        (key(&other.key), "tls.key_file: ", &other.key),
    ] {
        let of_redis = RedisOptions { tls: tls.clone(), ..options("rediss://x".to_owned()) };
        let of_nats = NatsOptions { tls, ..NatsOptions::new("nats://x") };
        let (redis, nats) = (redis::check(&of_redis), nats::check(&of_nats));
        let errors = [redis.unwrap_err().to_string(), nats.unwrap_err().to_string()];
        for error in errors {
            let start = format!("{setting}{}: ", path.display());
            assert!(error.starts_with(&start) && !error.contains("secret"), "{error}");
        }
    }
    let half = TlsOptions { key_file: None, ..usual };
    let error = redis::check(&RedisOptions { tls: half, ..options("rediss://x".to_owned()) });
    assert!(error.unwrap_err().to_string().starts_with("tls.key_file: is missing"));
}
