//! What only NATS has.

use mynah_cluster::TlsOptions;
use mynah_cluster::nats::{self, NatsOptions};
use mynah_hub::BrokerEvent;

use crate::node::{Kind, Node, message, short};
use crate::servers;

fn options(url: String) -> NatsOptions {
    NatsOptions { timing: short(), ..NatsOptions::new(url) }
}

#[tokio::test]
async fn a_node_does_not_hear_itself() {
    let server = servers::nats(&[]).await;
    let mut ann = Node::up(Kind::Nats, server.port).await;
    let bob = Node::up(Kind::Nats, server.port).await;
    assert!(ann.hear(&["r:1"]).await);
    ann.say("r:1", "own");
    bob.say("r:1", "other");
    ann.expect(message("r:1", "other")).await;
}

#[tokio::test]
async fn users_and_tokens_sign_in() {
    let server = servers::nats(&["--user", "ann", "--pass", "s3cret"]).await;
    let place = format!("127.0.0.1:{}", server.port);
    Node::nats(&options(format!("nats://ann:s3cret@{place}"))).expect(BrokerEvent::Up).await;
    Node::nats(&options(format!("nats://ann:wrong@{place}"))).expect(BrokerEvent::Down).await;
    Node::nats(&options(format!("nats://{place}"))).expect(BrokerEvent::Down).await;

    let server = servers::nats(&["--auth", "t0ken"]).await;
    let place = format!("127.0.0.1:{}", server.port);
    Node::nats(&options(format!("nats://t0ken@{place}"))).expect(BrokerEvent::Up).await;
    Node::nats(&options(format!("nats://wrong@{place}"))).expect(BrokerEvent::Down).await;
}

#[tokio::test]
async fn the_other_server_of_a_cluster_takes_over() {
    let mut one = servers::nats(&[]).await;
    let two = servers::nats(&[]).await;
    let url = format!("nats://127.0.0.1:{},127.0.0.1:{}", one.port, two.port);
    let mut ann = Node::nats(&options(url));
    ann.expect(BrokerEvent::Up).await;
    assert!(ann.hear(&["r:1"]).await);
    one.kill().await;
    ann.expect(BrokerEvent::Down).await;
    ann.expect(BrokerEvent::Up).await;
    let bob = Node::up(Kind::Nats, two.port).await;
    bob.say("r:1", "hello");
    ann.expect(message("r:1", "hello")).await;
}

#[tokio::test]
async fn tls_is_spoken_with_an_authority_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert_path, key_path) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let server = servers::nats(&["--tls", "--tlscert", cert_path, "--tlskey", key_path]).await;
    let tls = TlsOptions { ca_file: Some(certificate.clone()), is_insecure: false };
    // The server asks for TLS; the url need not.
    let url = format!("nats://localhost:{}", server.port);
    let timing = mynah_cluster::Timing::default();
    let mut ann = Node::nats(&NatsOptions { tls: tls.clone(), timing, ..options(url.clone()) });
    ann.expect(BrokerEvent::Up).await;
    let mut bob = Node::nats(&NatsOptions { tls, timing, ..options(url.clone()) });
    bob.expect(BrokerEvent::Up).await;
    assert!(bob.hear(&["r:1"]).await);
    ann.say("r:1", vec![b'x'; 100_000]);
    bob.expect(message("r:1", vec![b'x'; 100_000])).await;

    Node::nats(&options(url)).expect(BrokerEvent::Down).await;
}

#[tokio::test]
async fn a_message_larger_than_the_server_takes_is_told_and_harms_nothing() {
    let server = servers::nats(&[]).await;
    let limits = mynah_cluster::Limits { message_bytes_max: 4 << 20, ..Default::default() };
    let place = format!("127.0.0.1:{}", server.port);
    let mut ann = Node::with(Kind::Nats, &place, limits, mynah_cluster::Timing::default());
    ann.expect(BrokerEvent::Up).await;
    ann.say("r:1", vec![0; 2 << 20]);
    ann.expect(BrokerEvent::Unsent).await;
    assert!(ann.hear(&["r:1"]).await);
    assert_eq!(ann.broker.stats().connects, 1);
}

#[test]
fn credentials_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user.creds");
    for text in ["", "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n"] {
        std::fs::write(&path, text).unwrap();
        let refused = NatsOptions {
            credentials_file: Some(path.clone()),
            ..NatsOptions::new("nats://localhost")
        };
        let error = nats::connect(&refused).err().unwrap().to_string();
        assert!(error.starts_with("nats_credentials_file:"), "{error}");
    }
}
