//! Calendar arithmetic: the 14-digit time stamps of pseudo-versions, and the times of `.info` and of the index (RFC 3339).

const DAY: i64 = 86_400;

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;

/// Nanoseconds since 1970 UTC of a date and time in the form of RFC 3339, section 5.6, with any offset and at most nine
/// digits of a second; `T` and `Z` in upper case, as the go command writes and reads them. `None` if it is no such text,
/// or no real date and time.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i128> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let shape_ok = date_time.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        shape => byte == *shape,
    });
    let stamp: String = date_time.chars().filter(char::is_ascii_digit).collect();
    let seconds = shape_ok.then(|| parse_stamp(&stamp))??;
    let (nanos, zone) = parse_fraction(rest)?;
    let local = i128::from(seconds) * SECOND + i128::from(nanos);
    Some(local - i128::from(parse_offset(zone)?) * SECOND)
}

/// The RFC 3339 form, in UTC, of nanoseconds since 1970: trailing zeros of the fraction are left out, and the fraction
/// with them if it is nothing but zeros. `None` outside the years 0 to 9999. Inverse of [`parse_rfc3339`].
#[must_use]
pub fn format_rfc3339(nanos: i128) -> Option<String> {
    let [year, month, day, hour, minute, second] = civil(i64::try_from(nanos.div_euclid(SECOND)).ok()?)?;
    // By hand: the pages of an index hold thousands of times, and most of the work for a page would be these.
    let mut text = String::with_capacity("2006-01-02T15:04:05.999999999Z".len());
    let parts = [(year, 4, '-'), (month, 2, '-'), (day, 2, 'T'), (hour, 2, ':'), (minute, 2, ':')];
    for (number, digits, after) in parts {
        push_digits(&mut text, number, digits);
        text.push(after);
    }
    push_digits(&mut text, second, 2);
    let fraction = i64::try_from(nanos.rem_euclid(SECOND)).ok()?;
    if fraction != 0 {
        text.push('.');
        push_digits(&mut text, fraction, 9);
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push('Z');
    Some(text)
}

/// The last `count` digits of a number that is not negative, with zeros before it.
fn push_digits(text: &mut String, number: i64, count: u32) {
    let digits = (0..count).rev().map(|place| number / 10_i64.pow(place) % 10);
    text.extend(digits.map(|digit| char::from(b'0' + digit as u8)));
}

/// Seconds since 1970 of `yyyymmddhhmmss` in UTC; `None` if it is no real date and time.
#[must_use]
pub fn parse_stamp(stamp: &str) -> Option<i64> {
    if stamp.len() != 14 || !stamp.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let good = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    good.then(|| days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// `yyyymmddhhmmss` of `time`, seconds since 1970 UTC; `None` outside the years 0 to 9999.
pub(crate) fn format_stamp(time: i64) -> Option<String> {
    let [year, month, day, hour, minute, second] = civil(time)?;
    Some(format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"))
}

/// Nanoseconds of the fraction that `text` begins with, if it does, and the text behind it.
fn parse_fraction(text: &str) -> Option<(u32, &str)> {
    let Some(fraction) = text.strip_prefix('.') else { return Some((0, text)) };
    let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = fraction.get(..fraction.len() - zone.len())?;
    (1..=9).contains(&digits.len()).then(|| format!("{digits:0<9}").parse().ok())?.map(|nanos| (nanos, zone))
}

/// Seconds that a zone (`Z`, `+hh:mm`, `-hh:mm`) is ahead of UTC.
fn parse_offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [b'Z'] => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let number = |from: usize, most: i64| {
        let digits = zone.get(from..from + 2).filter(|two| two.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i64>().ok().filter(|number| *number <= most)
    };
    Some(sign * (number(1, 23)? * 3600 + number(4, 59)? * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the given day of the Gregorian calendar, year ≥ 0.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // Days before 1 January of `year`, counted from 1 January of year 0 (a leap year).
    let years = |year: i64| match year {
        0 => 0,
        _ => year * 365 + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1,
    };
    let months: i64 = (1..month).map(|m| days_in_month(year, m)).sum();
    years(year) - years(1970) + months + day - 1
}

/// Year, month, day, hour, minute and second of `time`, seconds since 1970 UTC; `None` outside the years 0 to 9999.
fn civil(time: i64) -> Option<[i64; 6]> {
    let (days, second) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let [year, month, day] = date(days)?;
    Some([year, month, day, second / 3600, second / 60 % 60, second % 60])
}

/// Year, month and day that lie `days` after 1970-01-01; `None` outside the years 0 to 9999.
fn date(days: i64) -> Option<[i64; 3]> {
    if days < days_before(0, 1, 1) || days > days_before(9999, 12, 31) {
        return None;
    }
    // 400 years have 146,097 days: the estimate is off by one year at most.
    let mut year = 1970 + (days * 400).div_euclid(146_097);
    year = year.clamp(0, 9999);
    while days < days_before(year, 1, 1) {
        year -= 1;
    }
    while days > days_before(year, 12, 31) {
        year += 1;
    }
    let mut left = days - days_before(year, 1, 1);
    let mut month = 1;
    while left >= days_in_month(year, month) {
        left -= days_in_month(year, month);
        month += 1;
    }
    Some([year, month, left + 1])
}

#[cfg(test)]
mod tests {
    use super::{format_rfc3339, format_stamp, parse_rfc3339, parse_stamp};

    /// Nanoseconds from Go's time.Parse(time.RFC3339Nano, …), the text from its Format in UTC.
    #[test]
    fn rfc3339_as_go_reads_and_writes_it() {
        let cases = [
            ("2019-04-10T19:08:52.997264Z", 1_554_923_332_997_264_000, "2019-04-10T19:08:52.997264Z"),
            ("2019-04-10T21:38:52.997264+02:30", 1_554_923_332_997_264_000, "2019-04-10T19:08:52.997264Z"),
            ("2019-04-10T00:00:00-07:00", 1_554_879_600_000_000_000, "2019-04-10T07:00:00Z"),
            ("2019-04-10T00:00:00.000000001Z", 1_554_854_400_000_000_001, "2019-04-10T00:00:00.000000001Z"),
            ("1969-12-31T23:59:59.5Z", -500_000_000, "1969-12-31T23:59:59.5Z"),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000_000, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.100Z", 253_402_300_799_100_000_000, "9999-12-31T23:59:59.1Z"),
        ];
        for (text, nanos, utc) in cases {
            assert_eq!(parse_rfc3339(text), Some(nanos), "{text}");
            assert_eq!(format_rfc3339(nanos).as_deref(), Some(utc));
        }
        assert_eq!(format_rfc3339(i128::MAX), None);
        assert_eq!(format_rfc3339(253_402_300_800 * super::SECOND), None);
    }

    #[test]
    fn what_is_no_rfc3339() {
        for text in [
            "",
            "2019-04-10",
            "2019-04-10T19:08:52",
            "2019-04-10 19:08:52Z",
            "2019-04-10t19:08:52z",
            "2019-04-10T19:08:52.Z",
            "2019-04-10T19:08:52.1234567890Z",
            "2019-04-10T19:08:52.1",
            "2019-02-29T19:08:52Z",
            "2019-04-10T24:00:00Z",
            "2019-04-10T19:08:60Z",
            "2019-04-10T19:08:52+24:00",
            "2019-04-10T19:08:52+02:60",
            "2019-04-10T19:08:52+2:00",
            "2019-04-10T19:08:52+0200",
            "2019-04-10T19:08:52+ 1:00",
            "2019-04-10T19:08:52Zx",
            "+019-04-10T19:08:52Z",
            "2019-04-10T19:08:5é",
            "1554923332",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn rfc3339_round_trips(nanos in -62_167_219_200_000_000_000_i128..253_402_300_800_000_000_000) {
            let text = format_rfc3339(nanos).unwrap();
            proptest::prop_assert_eq!(parse_rfc3339(&text), Some(nanos));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[.0-9]{0,12}[Z+-]?[0-9:]{0,6}") {
            for text in [text, near] {
                let _ = parse_rfc3339(&text);
            }
        }
    }

    #[test]
    fn known_times() {
        // Seconds from Go's time.Date(…).Unix().
        let cases = [
            ("19700101000000", 0),
            ("20200220150809", 1_582_211_289),
            ("00010101000000", -62_135_596_800),
            ("00000101000000", -62_167_219_200),
            ("99991231235959", 253_402_300_799),
            ("20000229000000", 951_782_400),
        ];
        for (stamp, seconds) in cases {
            assert_eq!(parse_stamp(stamp), Some(seconds), "{stamp}");
            assert_eq!(format_stamp(seconds).as_deref(), Some(stamp));
        }
        assert_eq!(format_stamp(253_402_300_800), None);
        assert_eq!(format_stamp(-62_167_219_201), None);
        assert_eq!(format_stamp(i64::MAX), None);
        assert_eq!(format_stamp(i64::MIN), None);
    }

    #[test]
    fn refuses_what_no_calendar_has() {
        for stamp in
            ["20210229000000", "20201301000000", "20200001000000", "20200100000000", "20200101240000"]
        {
            assert_eq!(parse_stamp(stamp), None, "{stamp}");
        }
        assert_eq!(parse_stamp("20200101006000"), None);
        assert_eq!(parse_stamp("20200101000060"), None);
    }
}
