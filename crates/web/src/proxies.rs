//! Where a call really came from, when it came through proxies.
//!
//! What a proxy says (`X-Forwarded-For`) is believed only of proxies that were named: anybody else could write any address there,
//! and be counted as somebody else with every guess.

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies that are believed, by address or network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

/// What is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address (10.0.0.7) and no network (10.0.0.0/8)")]
pub struct BadNetwork(String);

impl FromStr for Proxies {
    type Err = BadNetwork;

    /// Addresses and networks, parted by commas.
    fn from_str(text: &str) -> Result<Proxies, BadNetwork> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words
            .map(|word| Network::parse(word).ok_or_else(|| BadNetwork(word.to_owned())))
            .collect::<Result<_, _>>()
            .map(Proxies)
    }
}

impl Proxies {
    /// The address that is counted: the nearest one that is not a believed proxy's. What is unreadable ends the search.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.believes(peer) {
            return peer;
        }
        let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
        let mut nearest = peer;
        for hop in lines.join(",").rsplit(',').map(str::trim) {
            let Ok(hop) = IpAddr::from_str(hop) else { return nearest };
            nearest = hop.to_canonical();
            if !self.believes(nearest) {
                return nearest;
            }
        }
        nearest
    }

    fn believes(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

impl Network {
    fn parse(word: &str) -> Option<Network> {
        let (address, bits) = match word.split_once('/') {
            None => (IpAddr::from_str(word).ok()?, None),
            Some((address, bits)) => (IpAddr::from_str(address).ok()?, Some(bits.parse().ok()?)),
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Network { address, bits })
    }

    fn holds(self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;

    use super::Proxies;

    fn counted(proxies: &str, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let peer: IpAddr = peer.parse().unwrap();
        proxies.parse::<Proxies>().unwrap().client(peer, &headers).to_string()
    }

    #[test]
    fn only_named_proxies_are_believed_about_who_called_them() {
        let forged = ["1.2.3.4"];
        assert_eq!(counted("", "9.9.9.9", &forged), "9.9.9.9");
        assert_eq!(counted("10.0.0.0/8", "9.9.9.9", &forged), "9.9.9.9");
        assert_eq!(counted("10.0.0.0/8", "10.1.2.3", &forged), "1.2.3.4");
        assert_eq!(counted("10.0.0.0/8", "::ffff:10.1.2.3", &forged), "1.2.3.4");
        assert_eq!(counted("fd00::/8", "fd00::1", &["2001:db8::7"]), "2001:db8::7");
    }

    #[test]
    fn the_nearest_stranger_is_counted_whatever_they_wrote_before_themselves() {
        assert_eq!(counted("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 5.5.5.5"]), "5.5.5.5");
        assert_eq!(counted("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 5.5.5.5, 10.0.0.2"]), "5.5.5.5");
        assert_eq!(counted("10.0.0.0/8", "10.0.0.1", &["6.6.6.6", "5.5.5.5"]), "5.5.5.5");
        assert_eq!(counted("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, nonsense"]), "10.0.0.1");
        assert_eq!(counted("10.0.0.0/8", "10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(counted("10.0.0.0/8", "10.0.0.1", &["10.0.0.9"]), "10.0.0.9");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.0.0.0/33", "10.0.0", "proxy.example", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Proxies>().is_err(), "{bad}");
        }
        assert_eq!(" 10.0.0.7 , ".parse::<Proxies>().unwrap(), "10.0.0.7/32".parse().unwrap());
    }
}
