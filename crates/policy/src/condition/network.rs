//! CIDR blocks of `IpAddress` and `NotIpAddress`, IPv4 and IPv6.

use core::net::IpAddr;

/// A block; an address alone is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    base: IpAddr,
    prefix: u32,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().ok()?;
        let width = width(base);
        let prefix = match prefix {
            // `parse` would take a sign.
            Some(digits) if !digits.bytes().all(|b| b.is_ascii_digit()) => return None,
            Some(digits) => digits.parse().ok().filter(|bits| *bits <= width)?,
            None => width,
        };
        Some(Self { base, prefix })
    }

    /// Whether `address` is in the block; an IPv4 address written as IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = if self.base.is_ipv4() { address.to_canonical() } else { address };
        if address.is_ipv4() != self.base.is_ipv4() {
            return false;
        }
        let host_bits = width(self.base) - self.prefix;
        let network = |address| bits(address).checked_shr(host_bits).unwrap_or(0);
        network(address) == network(self.base)
    }
}

const fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_what_shares_their_prefix() {
        for (block, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7/24", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
        ] {
            let block = Network::parse(block).unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), expected, "{block:?} {address}");
        }
    }

    #[test]
    fn rubbish_is_no_block() {
        for bad in ["", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/+8", "a/8", "1.2.3.4/8/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
