//! Which addresses may be called on somebody's behalf.
//!
//! Whoever may configure a url must not get at what only this machine or its network can reach: other
//! services here, the provider's metadata service, a router. So an address is refused unless it is
//! public. [`Reach::private`] lets addresses of private networks and this machine in, for installations
//! whose endpoints are there; what no endpoint can be stays refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far calls may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Whether loopback, private (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) addresses may
    /// be called.
    pub private: bool,
}

/// An address that may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {} and may not be called", kind.text())]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// What is wrong with it.
    pub kind: Kind,
}

/// Sorts of addresses that are not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This machine.
    Loopback,
    /// A private network, also shared and unique local addresses.
    Private,
    /// Only this link; also where clouds keep their metadata.
    LinkLocal,
    /// A metadata service at another address.
    Metadata,
    /// No address: `0.0.0.0/8`, `::`.
    Unspecified,
    /// More than one receiver: multicast and broadcast.
    Multicast,
    /// Set aside: documentation, benchmarks, protocols, the future.
    Reserved,
    /// An IPv4 address in IPv6 clothes: NAT64, 6to4, Teredo, IPv4-compatible.
    Translated,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Loopback => "an address of this machine",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a metadata service",
            Self::Unspecified => "no address of anybody",
            Self::Multicast => "a multicast address",
            Self::Reserved => "a reserved address",
            Self::Translated => "a translated address",
        }
    }

    /// Whether [`Reach::private`] lets it in.
    pub fn is_private(self) -> bool {
        matches!(self, Self::Loopback | Self::Private)
    }
}

/// Metadata services that are not link-local: Alibaba, Azure, Oracle (also in a reserved range).
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Metadata of EC2 and of Google's network, among unique local addresses.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

impl Reach {
    /// Judges an address.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn check(self, address: IpAddr) -> Result<(), Forbidden> {
        let kind = match address {
            IpAddr::V4(v4) => kind_v4(v4),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => kind_v4(v4),
                None => kind_v6(v6),
            },
        };
        match kind {
            Some(kind) if !(self.private && kind.is_private()) => Err(Forbidden { address, kind }),
            Some(_) | None => Ok(()),
        }
    }
}

/// After the IANA registry of special-purpose IPv4 addresses; `None`: public.
fn kind_v4(address: Ipv4Addr) -> Option<Kind> {
    if METADATA_V4.contains(&address) {
        return Some(Kind::Metadata);
    }
    Some(match address.octets() {
        [0, ..] => Kind::Unspecified,
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Kind::Private,
        [169, 254, ..] => Kind::LinkLocal,
        [224..=239, ..] | [255, 255, 255, 255] => Kind::Multicast,
        // Protocols, documentation, the former 6to4 relays, AS112, AMT, benchmarks, the future.
        [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [192, 31, 196, _]
        | [192, 52, 193, _]
        | [192, 175, 48, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Kind::Reserved,
        _ => return None,
    })
}

/// After the IANA registry of special-purpose IPv6 addresses; only `2000::/3` can be public.
fn kind_v6(address: Ipv6Addr) -> Option<Kind> {
    if METADATA_V6.contains(&address) {
        return Some(Kind::Metadata);
    }
    if address.is_unspecified() {
        return Some(Kind::Unspecified);
    }
    if address.is_loopback() {
        return Some(Kind::Loopback);
    }
    Some(match address.segments() {
        // IPv4-compatible, IPv4-translated, NAT64 (well-known and local), 6to4, Teredo.
        [0, 0, 0, 0, 0 | 0xffff, 0, _, _]
        | [0x64, 0xff9b, ..]
        | [0x2002, ..]
        | [0x2001, 0, ..]
        // Interface ids of ISATAP carry an IPv4 address as well.
        | [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Kind::Translated,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // Protocols and documentation within 2000::/3.
        [0x2001, 1..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Reserved,
        [0x2000..=0x3fff, ..] => return None,
        _ => Kind::Reserved,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<Kind> {
        Reach::default().check(text.parse().unwrap()).err().map(|f| f.kind)
    }

    fn is_let_in(text: &str) -> bool {
        Reach { private: true }.check(text.parse().unwrap()).is_ok()
    }

    #[test]
    fn public_addresses_may_be_called() {
        for text in ["1.1.1.1", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.0.1"] {
            assert_eq!(kind(text), None, "{text}");
        }
        for text in
            ["172.32.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::8", "::ffff:1.1.1.1"]
        {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    #[test]
    fn private_ones_only_when_that_is_set() {
        for (text, expected) in [
            ("127.0.0.1", Kind::Loopback),
            ("127.255.255.254", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("10.0.0.1", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("100.64.0.1", Kind::Private),
            ("100.127.255.255", Kind::Private),
            ("fc00::1", Kind::Private),
            ("fdff::1", Kind::Private),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::ffff:10.1.2.3", Kind::Private),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
            assert!(is_let_in(text), "{text}");
        }
    }

    #[test]
    fn what_can_be_no_endpoint_is_refused_always() {
        for (text, expected) in [
            ("0.0.0.0", Kind::Unspecified),
            ("0.1.2.3", Kind::Unspecified),
            ("::", Kind::Unspecified),
            ("169.254.169.254", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("::ffff:169.254.169.254", Kind::LinkLocal),
            ("100.100.100.200", Kind::Metadata),
            ("168.63.129.16", Kind::Metadata),
            ("192.0.0.192", Kind::Metadata),
            ("fd00:ec2::254", Kind::Metadata),
            ("224.0.0.1", Kind::Multicast),
            ("255.255.255.255", Kind::Multicast),
            ("ff02::1", Kind::Multicast),
            ("192.0.2.1", Kind::Reserved),
            ("198.18.0.1", Kind::Reserved),
            ("198.51.100.1", Kind::Reserved),
            ("203.0.113.1", Kind::Reserved),
            ("240.0.0.1", Kind::Reserved),
            ("2001:db8::1", Kind::Reserved),
            ("100::1", Kind::Reserved),
            ("fec0::1", Kind::Reserved),
            ("64:ff9b::7f00:1", Kind::Translated),
            ("64:ff9b:1::7f00:1", Kind::Translated),
            ("2002:7f00:1::", Kind::Translated),
            ("2001::1", Kind::Translated),
            ("::127.0.0.1", Kind::Translated),
            ("::ffff:0:127.0.0.1", Kind::Translated),
            ("2606:4700::200:5efe:7f00:1", Kind::Translated),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
            assert!(!is_let_in(text), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let forbidden = Reach::default().check("10.0.0.7".parse().unwrap()).unwrap_err();
        let expected = "10.0.0.7 is an address of a private network and may not be called";
        assert_eq!(forbidden.to_string(), expected);
    }
}
