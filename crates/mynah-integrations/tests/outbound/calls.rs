//! How calls are made.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mynah_integrations::address::Reach;
use mynah_integrations::client::{Answer, Client, ClientOptions, Post, PostError, Transport as _};
use mynah_integrations::resolve::Resolver;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::{Answers, OK, Reply, Server};

/// Every name is here.
pub(crate) struct Here;

#[async_trait]
impl Resolver for Here {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

pub(crate) fn options() -> ClientOptions {
    ClientOptions { reach: Reach { private: true }, ..ClientOptions::default() }
}

fn client() -> Client {
    Client::new(options(), Arc::new(Here))
}

fn hasty() -> Client {
    let timeout = Duration::from_millis(300);
    Client::new(ClientOptions { timeout, ..options() }, Arc::new(Here))
}

fn post(url: &str) -> Post {
    let headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("X-Own".to_owned(), "1".to_owned()),
        ("x-own".to_owned(), "2".to_owned()),
        ("Host".to_owned(), "elsewhere.test".to_owned()),
        ("content-length".to_owned(), "1".to_owned()),
        ("Transfer-Encoding".to_owned(), "chunked".to_owned()),
    ];
    Post { url: url.into(), headers, body: Bytes::from_static(b"{\"a\":1}") }
}

const DONE: Answer = Answer { status: 200, retry_after_s: None };

#[tokio::test]
async fn a_request_carries_body_and_headers_but_not_those_of_the_connection() {
    let server = Server::start(|_| Reply::Say(OK)).await;
    let port = server.address.port();
    let url = format!("http://Hooks.test:{port}/a/b%20c?x=1&y#part");
    assert_eq!(client().post(post(&url)).await, Ok(DONE));
    let [request] = server.requests().try_into().expect("one request");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "{\"a\":1}");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /a/b%20c?x=1&y HTTP/1.1"));
    let mut fields: Vec<String> = lines.map(str::to_lowercase).collect();
    fields.sort();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        "content-length: 7".to_owned(),
        "content-type: application/json".to_owned(),
        format!("host: hooks.test:{port}"),
        format!("user-agent: mynah/{version}"),
        "x-own: 1".to_owned(),
        "x-own: 2".to_owned(),
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn a_connection_serves_the_next_call() {
    let server = Server::start(|_| Reply::Say(OK)).await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(client.post(post(&server.url())).await, Ok(DONE));
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

/// Servers close idle connections when they like.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_nobodys_failure() {
    let server = Server::start(|n| if n == 0 { Reply::Say(OK) } else { Reply::Last("") }).await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(client.post(post(&server.url())).await, Ok(DONE));
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let redirects: [Answers; 3] = [
        |_| {
            Reply::Say("HTTP/1.1 301 x\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")
        },
        |_| Reply::Say("HTTP/1.1 307 x\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
        |_| Reply::Say("HTTP/1.1 308 x\r\nLocation: //localhost/\r\nContent-Length: 0\r\n\r\n"),
    ];
    for answers in redirects {
        let server = Server::start(answers).await;
        let answer = client().post(post(&server.url())).await.expect("an answer");
        assert!(matches!(answer.status, 301 | 307 | 308) && !answer.is_success());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let endless: [Answers; 3] = [
        |_| Reply::Endless("HTTP/1.1 200 OK\r\n\r\n"),
        |_| Reply::Endless("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"),
        |_| Reply::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"),
    ];
    for answers in endless {
        let server = Server::start(answers).await;
        let client = client();
        assert_eq!(client.post(post(&server.url())).await, Ok(DONE));
        assert_eq!(client.post(post(&server.url())).await, Ok(DONE));
        assert_eq!(server.connections(), 2, "it is of no more use");
    }
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = Server::start(|_| Reply::Endless("HTTP/1.1 200 OK\r\nX-Long: ")).await;
    let failed = client().post(post(&server.url())).await;
    assert!(matches!(failed, Err(PostError::Failed(_))), "{failed:?}");
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let silent = Server::start(|_| Reply::Silence).await;
    let failed = hasty().post(post(&silent.url())).await;
    assert_eq!(failed, Err(PostError::Failed("no answer within 300 ms".to_owned())));
    let half = Server::start(|_| Reply::Last("HTTP/1.1 200")).await;
    let failed = hasty().post(post(&half.url())).await;
    assert!(matches!(failed, Err(PostError::Failed(_))), "{failed:?}");
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let server = Server::start(|_| Reply::Say(OK)).await;
    let (url, address) = (server.url(), server.address);
    drop(server);
    let failed = client().post(post(&url)).await.expect_err("nobody listens").to_string();
    assert!(failed.starts_with(&format!("{address} cannot be reached: ")), "{failed}");
}

#[tokio::test]
async fn retry_after_is_read_in_seconds() {
    let server = Server::start(|n| match n {
        0 => Reply::Say("HTTP/1.1 429 x\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n"),
        _ => Reply::Say("HTTP/1.1 503 x\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n"),
    })
    .await;
    let client = client();
    let answer = client.post(post(&server.url())).await;
    assert_eq!(answer, Ok(Answer { status: 429, retry_after_s: Some(17) }));
    let answer = client.post(post(&server.url())).await;
    assert_eq!(answer, Ok(Answer { status: 503, retry_after_s: None }));
}

#[tokio::test]
async fn headers_that_cannot_be_sent_are_refused() {
    for (name, value) in [("X Own", "1"), ("X-Own", "a\r\nX-Other: b"), ("", "1"), ("X\n", "1")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let post = Post { headers, ..post("http://127.0.0.1:1/") };
        let refused = client().post(post).await;
        assert!(matches!(refused, Err(PostError::Invalid(_))), "{name:?} {refused:?}");
    }
}

fn certificates() -> (CertificateDer<'static>, rustls::ServerConfig) {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let authority = read(include_str!("certificates/ca.pem"));
    let own = read(include_str!("certificates/hooks.pem"));
    let key =
        PrivateKeyDer::from_pem_slice(include_bytes!("certificates/hooks.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own], key)
        .expect("they belong together");
    (authority, config)
}

#[tokio::test]
async fn https_asks_for_the_name_and_trusts_no_stranger() {
    let (authority, config) = certificates();
    let server = Server::with_tls(config, |_| Reply::Say(OK)).await;
    let port = server.address.port();
    let trusting = Client::trusting(options(), Arc::new(Here), &[authority]).expect("trusted");
    let good = format!("https://hooks.test:{port}/hook");
    assert_eq!(trusting.post(post(&good)).await, Ok(DONE));
    let stranger = client().post(post(&good)).await;
    assert!(matches!(stranger, Err(PostError::Failed(_))), "{stranger:?}");
    let other = trusting.post(post(&format!("https://other.test:{port}/hook"))).await;
    assert!(matches!(other, Err(PostError::Failed(_))), "{other:?}");
    assert_eq!(server.requests().len(), 1);
}
