//! When a certificate ends: the one field of X.509 that is read here (RFC 5280, sections 4.1 and 4.1.2.5).

use quipu_module::parse_stamp;

/// Tags of DER (X.690) that lead to the field.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second, counted from 1970, in which the certificate is valid; `None` if it cannot be read. Certificates
/// that end before 1970 end at 0.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (signed, _) = sequence(certificate)?;
    let (fields, _) = sequence(signed)?;
    let (tag, _, rest) = element(fields)?;
    // The version may be left out; serial number, algorithm and issuer may not.
    let serial = if tag == VERSION { rest } else { fields };
    let (_, _, algorithm) = element(serial)?;
    let (_, issuer) = sequence(algorithm)?;
    let (_, validity) = sequence(issuer)?;
    let (validity, _) = sequence(validity)?;
    let (_, _, not_after) = element(validity)?;
    let (tag, time, _) = element(not_after)?;
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let stamp = match tag {
        GENERALIZED_TIME => time.to_owned(),
        // Two digits of a year between 1950 and 2049.
        UTC_TIME => format!("{}{time}", if *time >= *"50" { "19" } else { "20" }),
        _ => return None,
    };
    Some(u64::try_from(parse_stamp(&stamp)?).unwrap_or(0))
}

/// The content of a sequence, and what follows it.
fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == SEQUENCE).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // So many bytes of length follow; a certificate has less than 16 MiB.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 3))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::not_after;

    fn ending(year: i32, month: u8, day: u8, names: usize) -> Vec<u8> {
        let names: Vec<_> = (0..names).map(|n| format!("host{n}.example.test")).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn certificates_say_when_they_end() {
        // Seconds from `date -u -d <date> +%s`.
        for ((year, month, day), seconds) in [
            ((1999, 12, 31), 946_598_400),
            ((2026, 11, 22), 1_795_305_600),
            ((2049, 12, 31), 2_524_521_600),
            ((2050, 1, 1), 2_524_608_000),
            ((4096, 1, 1), 67_090_118_400),
        ] {
            for names in [1, 100] {
                assert_eq!(not_after(&ending(year, month, day, names)), Some(seconds), "{year}");
            }
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_no_panic() {
        let whole = ending(2030, 1, 1, 1);
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x81, 0x84, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = not_after(&changed);
            }
        }
    }
}
