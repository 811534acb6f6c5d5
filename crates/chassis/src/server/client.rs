//! Who is at the other end of a connection, as far as an address tells.

use std::net::{IpAddr, Ipv6Addr};

/// One client: an IPv4 address, or the 64 bits of an IPv6 address that name a network. Whoever has such a network has all its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            address => Self(address),
        }
    }
}

/// The part of `total` that one client may hold: `percent` of it, at least 1, at most all.
pub const fn share(total: usize, percent: u8) -> usize {
    let share = total.saturating_mul(percent as usize) / 100;
    if share == 0 {
        1
    } else if share > total {
        total
    } else {
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> ClientAddress {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_an_address_of_ipv4_is_one_however_it_is_written() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:0:0:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn a_share_is_never_nothing_and_never_more_than_all() {
        assert_eq!((share(512, 90), share(1, 1), share(10, 100), share(10, 200)), (460, 1, 10, 10));
    }
}
