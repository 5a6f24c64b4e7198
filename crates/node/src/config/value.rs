//! Values that are written in a way of their own: sizes and MAC addresses.

use crate::engine::CODE_CACHE_BYTES_DEFAULT;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Least and most bytes of guest memory.
const MEMORY_BYTES: RangeInclusive<u64> = 16 << 20..=64 << 30;
/// The guest's memory where nothing else is said, in bytes.
const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;
/// Least and most bytes of translated code.
const CODE_CACHE_BYTES: RangeInclusive<u64> = 4 << 20..=1 << 30;
/// Kept of a console where nothing else is said, in bytes.
const CONSOLE_BYTES_DEFAULT: u64 = 64 << 20;
/// Least and most bytes of a console that are kept.
const CONSOLE_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// A size of guest memory, in bytes: whole MiB from 16M to 64G, written like `256M` or `1G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySize(pub u64);

impl Default for MemorySize {
    fn default() -> Self {
        Self(MEMORY_BYTES_DEFAULT)
    }
}

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = "memory is from 16M to 64G";
        parse_size(text, &MEMORY_BYTES, range).map(Self)
    }
}

/// How much translated code is kept, in bytes: whole MiB from 4M to 1G, written like `256M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeCacheSize(pub usize);

impl Default for CodeCacheSize {
    fn default() -> Self {
        Self(CODE_CACHE_BYTES_DEFAULT)
    }
}

impl FromStr for CodeCacheSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = "a code cache is from 4M to 1G";
        let bytes = parse_size(text, &CODE_CACHE_BYTES, range)?;
        usize::try_from(bytes)
            .map(Self)
            .map_err(|_| format!("`{text}` is more than this host can address"))
    }
}

/// How much of the guest's console its file keeps, in bytes: whole MiB from 1M to 1024G, written like `64M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSize(pub u64);

impl Default for ConsoleSize {
    fn default() -> Self {
        Self(CONSOLE_BYTES_DEFAULT)
    }
}

impl FromStr for ConsoleSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = "a console file is from 1M to 1024G";
        parse_size(text, &CONSOLE_BYTES, range).map(Self)
    }
}

/// A size in bytes: whole MiB within `range`, which `range_words` say to people.
fn parse_size(text: &str, range: &RangeInclusive<u64>, range_words: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        Some(b'T' | b't') => (&text[..text.len() - 1], 40),
        // As for QEMU, a bare number is in MiB.
        _ => (text, 20),
    };
    let Ok(number) = digits.parse::<u64>() else {
        return Err(format!(
            "`{text}` is no size: {range_words}, written like `256M` or `1G`"
        ));
    };
    let bytes = number.checked_mul(1 << shift);
    let Some(bytes) = bytes.filter(|bytes| range.contains(bytes)) else {
        // It may be meant in bytes.
        let bare = match digits == text {
            true => ", and a number without a letter counts MiB",
            false => "",
        };
        return Err(format!("`{text}` is out of range: {range_words}{bare}"));
    };
    if bytes % (1 << 20) != 0 {
        return Err(format!(
            "`{text}` is no whole number of MiB: {range_words}, written like `256M` or `1G`"
        ));
    }
    Ok(bytes)
}

/// An Ethernet address of one station.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl Default for MacAddress {
    fn default() -> Self {
        Self([0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    }
}

impl FromStr for MacAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed =
            || format!("`{text}` is no MAC address: they are written like `52:54:00:12:34:56`");
        let mut address = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut address {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or_else(malformed)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| malformed())?;
        }
        if parts.next().is_some() {
            return Err(malformed());
        }
        if address[0] & 1 != 0 || address == [0; 6] {
            return Err(format!(
                "`{text}` is a group address or zero: the first byte must be even, as in `52:54:00:12:34:56`"
            ));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for CodeCacheSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ConsoleSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_addresses() {
        assert_eq!("1G".parse(), Ok(MemorySize(1 << 30)));
        assert_eq!("64".parse(), Ok(MemorySize(64 << 20)));
        assert_eq!("32768k".parse(), Ok(MemorySize(32 << 20)));
        for (wrong, why) in [
            ("", "no size"),
            ("M", "no size"),
            ("-1G", "no size"),
            ("1.5G", "no size"),
            ("64K", "out of range"),
            ("1T", "out of range"),
            ("1M", "out of range"),
            ("99999999999999G", "out of range"),
            ("65G", "out of range"),
            ("20000K", "no whole number of MiB"),
        ] {
            let error = wrong.parse::<MemorySize>().unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(error.contains("memory is from 16M to 64G"), "{error}");
        }
        // Meant in bytes, perhaps.
        let error = "100000001".parse::<MemorySize>().unwrap_err();
        assert!(error.contains("counts MiB"), "{error}");
        let error = "1M".parse::<MemorySize>().unwrap_err();
        assert!(!error.contains("counts MiB"), "{error}");
        assert_eq!("1G".parse(), Ok(CodeCacheSize(1 << 30)));
        for wrong in ["", "3M", "1025M", "2G", "off"] {
            assert!(wrong.parse::<CodeCacheSize>().is_err(), "{wrong}");
        }
        let mac = MacAddress::default();
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for wrong in [
            "",
            "52:54",
            "52:54:00:12:34:56:78",
            "01:00:00:00:00:00",
            "0:0:0:0:0:0",
            "+2:54:00:12:34:5é",
        ] {
            assert!(wrong.parse::<MacAddress>().is_err(), "{wrong}");
        }
    }
}
