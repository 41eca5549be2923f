//! What is asked of the index: the query of the URL.

use quipu_ledger::Micros;
use quipu_module::{ModulePath, parse_rfc3339};

/// Lines on a page at most, and unless fewer are asked for.
const LIMIT: usize = 2000;

/// A question for a page of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The oldest time wanted.
    pub(super) since: Micros,
    /// 1 to [`LIMIT`].
    pub(super) limit: usize,
    /// Also what this server refuses to serve.
    pub(super) all: bool,
    /// Only this module.
    pub(super) module: Option<ModulePath>,
}

impl Ask {
    /// Whether all modules are wanted, but only what can be had of them.
    pub(super) fn is_filtered_whole(&self) -> bool {
        !self.all && self.module.is_none()
    }

    /// Reads a query. What is not known is passed over, and so are parameters without a value; of several the first
    /// counts.
    ///
    /// # Errors
    /// What is wrong with it, in words for the client.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let (mut since, mut limit, mut module, mut include) = (None, None, None, None);
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let slot = match key {
                "since" => &mut since,
                "limit" => &mut limit,
                "module" => &mut module,
                "include" => &mut include,
                _ => continue,
            };
            let value = decode(value).ok_or_else(|| format!("{key}: malformed percent-encoding"))?;
            if slot.is_none() && !value.is_empty() {
                *slot = Some(value);
            }
        }
        Ok(Self {
            since: since.as_deref().map_or(Ok(0), parse_since)?,
            limit: limit.as_deref().map_or(Ok(LIMIT), parse_limit)?,
            all: include.as_deref() == Some("all"),
            module: match module {
                Some(path) => Some(ModulePath::parse(&path).map_err(|error| format!("module: {error}"))?),
                None => None,
            },
        })
    }
}

/// The first whole microsecond that is not before the time.
fn parse_since(text: &str) -> Result<Micros, String> {
    // A plus sign that its sender did not encode arrives as a space, which stands nowhere else in a time.
    let nanos = parse_rfc3339(&text.replace(' ', "+"))
        .ok_or("since: not a time in the form of RFC 3339, such as 2019-04-10T19:08:52.997264Z")?;
    let micros = nanos.div_euclid(1000) + i128::from(nanos.rem_euclid(1000) != 0);
    Ok(Micros::try_from(micros.max(0)).unwrap_or(Micros::MAX))
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that are too many for a number are a number larger than any limit.
    let limit = if digits { text.parse().unwrap_or(LIMIT) } else { 0 };
    if limit == 0 { Err("limit: not a whole number from 1".to_owned()) } else { Ok(limit.min(LIMIT)) }
}

/// A value as forms encode it.
fn decode(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(since: Micros, limit: usize) -> Ask {
        Ask { since, limit, all: false, module: None }
    }

    #[test]
    fn queries_that_are_understood() {
        let cases = [
            ("", ask(0, 2000)),
            ("since=&limit=&x=1&=&&limit", ask(0, 2000)),
            ("limit=1", ask(0, 1)),
            ("limit=2001", ask(0, 2000)),
            ("limit=99999999999999999999999999", ask(0, 2000)),
            ("limit=3&limit=x", ask(0, 3)),
            ("since=1970-01-01T00:00:00.000001Z", ask(1, 2000)),
            ("since=1970-01-01T00:00:00.000001001Z&limit=7", ask(2, 7)),
            ("since=1970-01-01T00%3A00%3A01%2B00%3A00", ask(1_000_000, 2000)),
            ("since=1970-01-01T02:00:01+02:00", ask(1_000_000, 2000)),
            ("since=1969-12-31T22:00:01-02:00", ask(1_000_000, 2000)),
            ("since=0001-01-01T00:00:00Z", ask(0, 2000)),
            ("since=9999-12-31T23:59:59Z", ask(253_402_300_799_000_000, 2000)),
        ];
        for (query, want) in cases {
            assert_eq!(Ask::parse(query), Ok(want), "{query}");
        }
        assert_eq!(Ask::parse("limit=1&include=all"), Ok(Ask { all: true, ..ask(0, 1) }));
        assert_eq!(Ask::parse("include=some"), Ok(ask(0, 2000)));
        let module = Some(ModulePath::parse("github.com/Azure/x").unwrap());
        assert_eq!(Ask::parse("module=github.com%2FAzure/x"), Ok(Ask { module, ..ask(0, 2000) }));
    }

    #[test]
    fn queries_that_are_refused() {
        for query in [
            "limit=0",
            "limit=00",
            "limit=-1",
            "limit=%2B1",
            "limit=1.5",
            "limit=ten",
            "limit=%31%",
            "since=yesterday",
            "since=2019-04-10",
            "since=1554923332",
            "since=2019-04-10T19:08:52",
            "since=%ff",
            "module=no%20path",
            "module=/",
        ] {
            let why = Ask::parse(query).unwrap_err();
            assert!(why.starts_with(query.split('=').next().unwrap()), "{query}: {why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics(query in ".{0,60}", value in "[0-9TZ:.+%-]{0,40}") {
            let _ = Ask::parse(&query);
            for key in ["since", "limit", "module"] {
                if let Ok(ask) = Ask::parse(&format!("{key}={value}")) {
                    proptest::prop_assert!((1..=LIMIT).contains(&ask.limit));
                }
            }
        }
    }
}
