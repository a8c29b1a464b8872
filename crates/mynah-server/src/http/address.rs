//! Whose request it is, behind proxies or not.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, Request};

use super::extract::ClientAddress;

/// A range of addresses, e.g. `10.0.0.0/8`, `fd00::/8` or a single `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address or network such as 10.0.0.0/8: {0}")]
pub struct BadNetwork(String);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_not| bad())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_not| bad())?;
        if prefix > bits { Err(bad()) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    /// Whether an address lies in it; an IPv4 address inside IPv6 counts as itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                net.to_bits() & mask == a.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                net.to_bits() & mask == a.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// The nearest address that is not a trusted proxy. What lies behind an untrusted one in
/// `X-Forwarded-For` was written by the client itself and is not believed.
pub(crate) fn client_address(request: &Request, trusted: &[Network]) -> ClientAddress {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let is_proxy = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let Some(mut address) = peer.filter(|peer| is_proxy(*peer)) else { return ClientAddress(peer) };
    let lines = request.headers().get_all("x-forwarded-for");
    let hops: Vec<&str> =
        lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|l| l.split(',')).collect();
    for hop in hops.into_iter().rev() {
        let Ok(hop) = hop.trim().parse() else { break };
        address = hop;
        if !is_proxy(hop) {
            break;
        }
    }
    ClientAddress(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn asked(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let trusted: Vec<Network> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        let mut request =
            Request::builder().header("x-forwarded-for", forwarded).body(Body::empty()).unwrap();
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        request.extensions_mut().insert(ConnectInfo(peer));
        client_address(&request, &trusted).0.unwrap().to_string()
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        assert_eq!(asked("9.9.9.9", "1.2.3.4", &[]), "9.9.9.9");
        assert_eq!(asked("9.9.9.9", "1.2.3.4", &["10.0.0.0/8"]), "9.9.9.9");
        assert_eq!(asked("10.1.1.1", "1.2.3.4", &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(asked("10.1.1.1", "6.6.6.6, 1.2.3.4, 10.2.2.2", &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(asked("10.1.1.1", "junk", &["10.0.0.0/8"]), "10.1.1.1");
        assert_eq!(asked("::ffff:10.1.1.1", "1.2.3.4", &["10.0.0.0/8"]), "1.2.3.4");
    }

    #[test]
    fn networks_are_read_and_bounded() {
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()));
        let one: Network = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
    }
}
