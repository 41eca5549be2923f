//! Calendar arithmetic for the 14-digit time stamps of pseudo-versions.

const DAY: i64 = 86_400;

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
    let (days, second) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = date(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"))
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

/// Year, month and day that lie `days` after 1970-01-01; `None` outside the years 0 to 9999.
fn date(days: i64) -> Option<(i64, i64, i64)> {
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
    Some((year, month, left + 1))
}

#[cfg(test)]
mod tests {
    use super::{format_stamp, parse_stamp};

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
