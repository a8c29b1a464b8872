//! Where calls may not go: a canary listens on this machine and must not be heard.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use mynah_integrations::address::Reach;
use mynah_integrations::client::{Client, ClientOptions, Post, PostError, Transport as _};
use mynah_integrations::resolve::{Resolver, SystemResolver};

use crate::server::{OK, Reply, Server};

fn post(url: &str) -> Post {
    Post { url: url.into(), headers: Vec::new(), body: Bytes::from_static(b"{}") }
}

/// Answers each question with the next list, the last one for ever.
struct Changing {
    lists: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Changing {
    fn new(lists: &[&[&'static str]]) -> Arc<Self> {
        let lists = lists.iter().map(|list| list.to_vec()).collect();
        Arc::new(Self { lists, asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Resolver for Changing {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst).min(self.lists.len() - 1);
        Ok(self.lists[nth].iter().map(|text| text.parse().expect("an address")).collect())
    }
}

/// Spellings of this machine, of its networks and of metadata services; PORT is the canary's.
const URLS: [&str; 85] = [
    // This machine, plainly.
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/hook?x=1#y",
    "https://127.0.0.1:PORT/",
    "http://127.1.2.3:PORT/",
    "http://127.255.255.255:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://hook.localhost:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000::0001]:PORT/",
    // Other spellings of 127.0.0.1.
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7F000001:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://0x7f.0.0.0x1:PORT/",
    "http://00000177.0x0.1:PORT/",
    "http://127.0.0.0x1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:PORT/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:PORT/",
    "http://\u{2460}\u{2461}\u{2466}.0.0.1:PORT/",
    "http://\u{24db}ocalhost:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http:///127.0.0.1:PORT/",
    "  http://127.0.0.1:PORT/",
    "ht\ntp://127.0.0.1:PORT/",
    // In IPv6 clothes.
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b:1::127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[fe80::5efe:127.0.0.1]:PORT/",
    // Nobody's address, which means this machine to many systems.
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://0x0:PORT/",
    "http://0.1.2.3:PORT/",
    "http://[::]:PORT/",
    // Private, shared, unique local, link-local.
    "http://10.0.0.1:PORT/",
    "http://10.255.255.255:PORT/",
    "http://167772161:PORT/",
    "http://012.0.0.1:PORT/",
    "http://172.16.0.1:PORT/",
    "http://172.31.255.254:PORT/",
    "http://192.168.0.1:PORT/",
    "http://3232235521:PORT/",
    "http://100.64.0.1:PORT/",
    "http://100.127.255.255:PORT/",
    "http://[fc00::1]:PORT/",
    "http://[fd12:3456:789a::1]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[febf::1]:PORT/",
    "http://[fec0::1]:PORT/",
    "http://169.254.1.1:PORT/",
    // Metadata.
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/metadata/v1/",
    "http://192.0.0.192/opc/v2/",
    // Many receivers, documentation, the future.
    "http://224.0.0.1:PORT/",
    "http://255.255.255.255:PORT/",
    "http://[ff02::1]:PORT/",
    "http://192.0.2.1:PORT/",
    "http://240.0.0.1:PORT/",
    // No such calls.
    "http://user@127.0.0.1:PORT/",
    "http://user:secret@example.org:PORT/",
    "ftp://127.0.0.1:PORT/",
    "file:///etc/passwd",
];

#[tokio::test]
async fn no_spelling_of_a_forbidden_place_reaches_anybody() {
    let canary = Server::start(|_| Reply::Say(OK)).await;
    let port = canary.address.port();
    let beside = Server::at(&format!("[::1]:{port}"), |_| Reply::Say(OK)).await.ok();
    let client = Client::new(ClientOptions::default(), Arc::new(SystemResolver));
    for url in URLS {
        let url = url.replace("PORT", &port.to_string());
        let refused = client.post(post(&url)).await;
        let is_refused = matches!(refused, Err(PostError::Forbidden(_) | PostError::Invalid(_)));
        assert!(is_refused, "{url:?}: {refused:?}");
    }
    assert_eq!(canary.connections() + beside.map_or(0, |s| s.connections()), 0);
}

/// The setting for internal networks lets endpoints in, not what can be none.
#[tokio::test]
async fn metadata_stays_out_of_reach_when_private_addresses_are_allowed() {
    let options = ClientOptions { reach: Reach { private: true }, ..ClientOptions::default() };
    let client = Client::new(options, Arc::new(SystemResolver));
    let is_metadata = |url: &&&str| url.contains("/meta") || url.contains("a9fe");
    for url in URLS.iter().filter(is_metadata) {
        let refused = client.post(post(url)).await;
        assert!(matches!(refused, Err(PostError::Forbidden(_))), "{url}: {refused:?}");
    }
    let canary = Server::start(|_| Reply::Say(OK)).await;
    assert!(client.post(post(&canary.url())).await.is_ok());
}

#[tokio::test]
async fn a_name_that_leads_here_is_refused() {
    let canary = Server::start(|_| Reply::Say(OK)).await;
    let url = format!("http://hooks.test:{}/", canary.address.port());
    for list in [
        &["127.0.0.1"][..],
        &["1.1.1.1", "127.0.0.1"],
        &["127.0.0.1", "1.1.1.1"],
        &["2606:4700::1111", "::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["169.254.169.254"],
    ] {
        let client = Client::new(ClientOptions::default(), Changing::new(&[list]));
        let refused = client.post(post(&url)).await;
        assert!(matches!(refused, Err(PostError::Forbidden(_))), "{list:?}: {refused:?}");
    }
    assert_eq!(canary.connections(), 0);
}

/// DNS rebinding: the name means something else when it is asked for a second time.
#[tokio::test]
async fn a_name_is_asked_for_once_and_the_judged_address_is_called() {
    let honest = Server::start(|_| Reply::Say(OK)).await;
    let port = honest.address.port();
    let canary = Server::at(&format!("127.0.0.2:{port}"), |_| Reply::Say(OK)).await;
    let canary = canary.expect("the same port on another address");
    let names = Changing::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let options = ClientOptions { reach: Reach { private: true }, ..ClientOptions::default() };
    let client = Client::new(options, Arc::clone(&names) as Arc<dyn Resolver>);
    let done = client.post(post(&format!("http://rebound.test:{port}/"))).await;
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    assert_eq!((honest.requests().len(), canary.connections()), (1, 0));
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure() {
    let client = Client::new(ClientOptions::default(), Changing::new(&[&[]]));
    let failed = client.post(post("http://hooks.test/")).await;
    let expected = PostError::Failed("the name hooks.test has no address".to_owned());
    assert_eq!(failed, Err(expected));
}
