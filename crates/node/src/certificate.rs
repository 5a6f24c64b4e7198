//! What a node's certificate says: for which node of which machine it is, when it was issued, and when it ends.

use anyhow::Context;
use replication::{Credential, Date, Subject};
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is read from a certificate. Whether the authority signed it is TLS's to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whose it is.
    pub subject: Subject,
    /// When it was issued, in microseconds since 1970: the first half of its serial number.
    pub issued: Date,
    /// When it ends.
    pub ends: SystemTime,
}

impl CertificateFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is none, or none that `futago keys` issues.
    pub fn read(certificate: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|error| anyhow::anyhow!("it is no certificate: {error}"))?;
        let mut subjects = parsed.valid_uri_names().filter_map(Subject::of_uri);
        let subject = subjects
            .next()
            .filter(|_| subjects.next().is_none())
            .context(
                "it does not name one node of one machine; `futago keys` issues those that do",
            )?;
        let serial = parsed.serial();
        // A byte of zero comes before a number that would otherwise be negative.
        let serial = serial.strip_prefix(&[0]).unwrap_or(serial);
        let (issued, _) = serial
            .split_first_chunk::<8>()
            .context("its serial number is not of `futago keys`")?;
        Ok(Self {
            subject,
            issued: Date(u64::from_be_bytes(*issued) & !SERIAL_MARK),
            ends: ends(certificate).context("it does not say when it ends")?,
        })
    }

    /// What decides whether it lets anybody in.
    pub fn credential(&self) -> Credential {
        Credential {
            subject: self.subject.clone(),
            issued: self.issued,
            ends: protocol_date(self.ends),
        }
    }

    /// Whole days until it ends; below 0 once it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        days_left(self.ends, now)
    }
}

/// A time as the protocol counts dates; the beginning of 1970 if it was before.
pub(crate) fn protocol_date(time: SystemTime) -> Date {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Date(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Whole days until a time; below 0 once it is over.
pub fn days_left(ends: SystemTime, now: SystemTime) -> i64 {
    let days = |time: Duration| (time.as_secs() / DAY.as_secs()) as i64;
    match ends.duration_since(now) {
        Ok(left) => days(left),
        Err(over) => -1 - days(over.duration()),
    }
}

/// Makes the first byte of a serial number other than 0, and leaves its sign positive.
const SERIAL_MARK: u64 = 1 << 62;

/// A serial number that tells when the certificate was issued, and that no other has.
pub(crate) fn serial(issued: Date, random: u64) -> [u8; 16] {
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&(issued.0 | SERIAL_MARK).to_be_bytes());
    serial[8..].copy_from_slice(&random.to_be_bytes());
    serial
}

/// The date of a time, in UTC.
pub fn date(time: SystemTime) -> String {
    let days = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        / DAY.as_secs();
    // Years of 400 have the same days each; counted from a first of March, leap days come last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A moment, in UTC, as RFC 3339 writes it.
pub fn moment(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        % DAY.as_secs();
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(time))
}

/// One value in DER (X.690, 8.1): its tag, its content, and what follows.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let number = digits
                .iter()
                .fold(0, |number, &digit| number << 8 | usize::from(digit));
            (number, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `notAfter` of a certificate (RFC 5280, 4.1): in its first part behind version, serial number, algorithm and issuer.
fn ends(certificate: &[u8]) -> Option<SystemTime> {
    let (_, certificate, _) = der(certificate)?;
    let (_, mut fields, _) = der(certificate)?;
    for expected in [0xa0, 0x02, 0x30, 0x30] {
        let (tag, _, rest) = der(fields)?;
        fields = rest;
        if tag != expected {
            return None;
        }
    }
    let (_, validity, _) = der(fields)?;
    let (_, _, rest) = der(validity)?;
    let (tag, text, _) = der(rest)?;
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |text: Option<&str>| text?.parse::<u64>().ok();
    // UTCTime has two digits of the year, from 1950 to 2049; GeneralizedTime has four.
    let (year, rest) = match tag {
        0x17 => {
            let year = number(digits.get(..2))?;
            (year + if year < 50 { 2000 } else { 1900 }, digits.get(2..)?)
        }
        0x18 => (number(digits.get(..4))?, digits.get(4..)?),
        _ => return None,
    };
    let field = |at: usize| number(rest.get(2 * at..2 * at + 2));
    let (month, day) = (field(0)?, field(1)?);
    let (hour, minute, second) = (field(2)?, field(3)?, field(4)?);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * DAY.as_secs() + hour * 3600 + minute * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_761_600, "2027-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
