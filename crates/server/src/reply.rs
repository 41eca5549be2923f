//! Replies: the one place that knows status codes, headers and the wording of errors.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use quipu_fetch::{ErrorKind, MAX_ZIP};

use crate::body::Body;
use crate::lookup::LookupError;

/// A response of this server.
pub(crate) type Reply = Response<Body>;

/// Content types in use.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
/// Raw bytes.
pub(crate) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// `.info` and `@latest`.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Feeds for feed readers.
pub(crate) const ATOM: HeaderValue = HeaderValue::from_static("application/atom+xml; charset=UTF-8");
/// Module zips.
pub(crate) const ZIP: HeaderValue = HeaderValue::from_static("application/zip");

/// The request header by which a client says "answer from storage alone".
pub(crate) const NO_FETCH: HeaderName = HeaderName::from_static("disable-module-fetch");

/// Longest error body, in bytes: the go command shows 648 at most.
const MAX_ERROR: usize = 600;

/// How long a reply may be kept by caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The bytes under this URL never change.
    Immutable,
    /// For so many seconds.
    Seconds(u16),
    /// Kept, but asked again each time.
    Revalidate,
    /// Not kept.
    Never,
}

impl Freshness {
    fn header(self) -> HeaderValue {
        match self {
            Self::Immutable => HeaderValue::from_static("public, max-age=31536000, immutable"),
            Self::Seconds(60) => HeaderValue::from_static("public, max-age=60"),
            Self::Seconds(10) => HeaderValue::from_static("public, max-age=10"),
            Self::Seconds(seconds) => HeaderValue::try_from(format!("public, max-age={seconds}"))
                .unwrap_or(HeaderValue::from_static("no-cache")),
            Self::Revalidate => HeaderValue::from_static("no-cache"),
            Self::Never => HeaderValue::from_static("no-store"),
        }
    }
}

/// Why a request is not answered with what it asked for; named by what the client should make of it. The text says
/// what and why in one line and holds nothing of this server's inside (addresses, paths, credentials).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is malformed: do not repeat it.
    BadRequest(String),
    /// Credentials are needed, or those that came are none.
    Unauthorized,
    /// Credentials that are none came too often from one address.
    TooOften,
    /// The sender of a webhook does not show that it knows the secret.
    Unsigned,
    /// Policy forbids it: do not ask elsewhere either.
    Forbidden(String),
    /// It does not exist; may be remembered for seconds.
    NotFound(String),
    /// It is not here now, and may be a moment later.
    NotHere(String),
    /// It contradicts what is here for ever: do not repeat it.
    Conflict(String),
    /// What was sent is larger than anything that is taken.
    TooLarge,
    /// What was sent came too slowly.
    TooSlow,
    /// This method is not for this resource.
    Method,
    /// A fault here or behind: try again later.
    Unavailable(String),
    /// What stands behind answered wrongly: nothing of it is passed on.
    BadUpstream(String),
    /// What stands behind took too long.
    Timeout(String),
    /// The request has come round in a circle.
    Loop,
    /// Too much at once.
    Busy(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::NotHere(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unavailable(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadUpstream(_) => StatusCode::BAD_GATEWAY,
            Self::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Loop => StatusCode::LOOP_DETECTED,
        }
    }

    fn freshness(&self) -> Freshness {
        match self {
            Self::NotFound(_) => Freshness::Seconds(10),
            _ => Freshness::Never,
        }
    }

    fn line(&self) -> String {
        match self {
            Self::BadRequest(why) => format!("bad request: {why}"),
            Self::Unauthorized => {
                "unauthorized: a token of this server is needed, as Bearer or as the password of \
                                   Basic (netrc, GOAUTH)"
                    .to_owned()
            }
            Self::TooOften => {
                "unauthorized: too many requests with credentials that are none here".to_owned()
            }
            Self::Unsigned => {
                "unauthorized: this webhook is not signed with a secret of this server".to_owned()
            }
            Self::Forbidden(why) => format!("forbidden: {why}"),
            Self::NotFound(why) | Self::NotHere(why) => format!("not found: {why}"),
            Self::Conflict(why) => format!("conflict: {why}"),
            Self::TooLarge => format!("bad request: more than {MAX_ZIP} bytes are not taken"),
            Self::TooSlow => "bad request: the body came too slowly".to_owned(),
            Self::Method => "bad request: only GET and HEAD are answered here, and PUT for zips".to_owned(),
            Self::Unavailable(why) | Self::BadUpstream(why) | Self::Timeout(why) | Self::Busy(why) => {
                format!("unavailable: {why}")
            }
            Self::Loop => "unavailable: this request has passed through this server before; \
                           its GOPROXY leads back to itself"
                .to_owned(),
        }
    }
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound(why) => Self::NotFound(why),
            LookupError::Forbidden(why) => Self::Forbidden(why),
            LookupError::Contradicted(why) => Self::BadUpstream(why),
            LookupError::Unavailable(why) => Self::Unavailable(why),
            LookupError::Timeout(why) => Self::Timeout(why),
            LookupError::Busy(why) => Self::Busy(why),
        }
    }
}

impl From<quipu_fetch::Error> for Refusal {
    fn from(error: quipu_fetch::Error) -> Self {
        let why = error.text().to_owned();
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound(why),
            ErrorKind::Forbidden | ErrorKind::Private => Self::Forbidden(why),
            ErrorKind::Unavailable => Self::Unavailable(why),
            ErrorKind::Timeout => Self::Timeout(why),
            ErrorKind::Rejected | ErrorKind::TooLarge => Self::BadUpstream(why),
        }
    }
}

/// A successful reply with all its bytes at hand.
pub(crate) fn ok(body: impl Into<Body>, kind: HeaderValue, freshness: Freshness) -> Reply {
    let mut reply = Response::new(body.into());
    dress(&mut reply, kind, freshness);
    reply
}

/// The reply for a refusal: plain text that the go command shows to its user.
pub(crate) fn refuse(refusal: &Refusal) -> Reply {
    let mut text = printable(&refusal.line());
    text.push('\n');
    let mut reply = Response::new(Body::from(Bytes::from(text)));
    *reply.status_mut() = refusal.status();
    dress(&mut reply, TEXT, refusal.freshness());
    let headers = reply.headers_mut();
    match refusal {
        Refusal::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"quipu\""));
        }
        Refusal::TooOften => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"))),
        Refusal::Method => drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
        Refusal::Busy(_) => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))),
        Refusal::Unavailable(_) => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"))),
        _ => {}
    }
    reply
}

/// A strong validator, as it stands in the header: `text` with quotes, if the two can stand there.
pub(crate) fn tag(text: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{text}\"")).ok()
}

/// Gives a reply its strong validator; answers "not modified" if the client already has it.
pub(crate) fn tagged(mut reply: Reply, tag: Option<HeaderValue>, asked: &HeaderMap) -> Reply {
    let Some(tag) = tag else { return reply };
    if holds(asked, &tag) {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        *reply.body_mut() = Body::empty();
        reply.headers_mut().remove(header::CONTENT_TYPE);
    }
    reply.headers_mut().insert(header::ETAG, tag);
    reply
}

/// Answers a single byte range of an untouched `200` reply, if one is asked for and can be had; several ranges or
/// unknown units are answered with the whole. `part` makes the body of a half-open byte range.
pub(crate) fn ranged(mut reply: Reply, asked: &HeaderMap, part: impl FnOnce(u64, u64) -> Body) -> Reply {
    let len = reply.body().len();
    reply.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if reply.status() != StatusCode::OK || !range_applies(asked, reply.headers().get(header::ETAG)) {
        return reply;
    }
    let (status, content_range, body) = match asked
        .get(header::RANGE)
        .and_then(|range| single_range(range, len))
    {
        None => return reply,
        Some(Range::Part(start, end)) => {
            (StatusCode::PARTIAL_CONTENT, format!("bytes {start}-{}/{len}", end - 1), part(start, end))
        }
        Some(Range::Beyond) => (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{len}"), Body::empty()),
    };
    if let Ok(value) = HeaderValue::try_from(content_range) {
        reply.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    *reply.status_mut() = status;
    *reply.body_mut() = body;
    reply
}

/// Says that the answer depends on the client's wish to have nothing fetched.
pub(crate) fn vary_on_fetch(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::VARY, HeaderValue::from_name(NO_FETCH));
    reply
}

/// Says that the answer is for this caller alone: no shared cache may keep it, and the caller's own asks each time.
pub(crate) fn private(mut reply: Reply) -> Reply {
    let headers = reply.headers_mut();
    if headers.get(header::CACHE_CONTROL).is_none_or(|said| said != "no-store") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    headers.append(header::VARY, HeaderValue::from_name(header::AUTHORIZATION));
    reply
}

/// Makes a reply fit the method: for `HEAD` the same headers and no body. The length is otherwise said by the connection, which
/// takes it from the body: a seventh header would make the map of headers move.
pub(crate) fn for_method(mut reply: Reply, method: &Method) -> Reply {
    if method == Method::HEAD {
        let length = std::mem::replace(reply.body_mut(), Body::empty()).len();
        if reply.status() != StatusCode::NOT_MODIFIED {
            reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    reply
}

/// Asks the client to give up the connection after this reply.
pub(crate) fn closing(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}

fn dress(reply: &mut Reply, kind: HeaderValue, freshness: Freshness) {
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, freshness.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// One line of printable text within the size the go command shows: a control character would make it show nothing.
fn printable(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(MAX_ERROR));
    for c in line.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > MAX_ERROR - 1 {
            break;
        }
        out.push(c);
    }
    out
}

/// Does `If-None-Match` name this tag.
fn holds(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let (Some(have), Ok(tag)) = (asked.get(header::IF_NONE_MATCH), tag.to_str()) else { return false };
    let Ok(have) = have.to_str() else { return false };
    have.trim() == "*" || have.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}

/// `If-Range` must name exactly the current tag for a range to count; dates are never exact enough.
fn range_applies(asked: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    asked.get(header::IF_RANGE).is_none_or(|wanted| Some(wanted) == tag)
}

enum Range {
    /// Half-open.
    Part(u64, u64),
    Beyond,
}

fn single_range(value: &HeaderValue, len: u64) -> Option<Range> {
    let spec = value.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = spec.split_once('-')?;
    let number =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?;
    let (start, end) = match (first, last) {
        ("", "") => return None,
        ("", suffix) => (len.saturating_sub(number(suffix)?), len),
        (first, "") => (number(first)?, len),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, len.min(last.saturating_add(1)))
        }
    };
    Some(if start < end { Range::Part(start, end) } else { Range::Beyond })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn asking(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn ten() -> Reply {
        tagged(
            ok(Bytes::from_static(b"0123456789"), OCTETS, Freshness::Immutable),
            tag("t"),
            &HeaderMap::new(),
        )
    }

    fn cut(start: u64, end: u64) -> Body {
        Body::from(Bytes::from_static(b"0123456789").slice(start as usize..end as usize))
    }

    #[tokio::test]
    async fn one_range_or_the_whole() {
        let cases = [
            ("bytes=0-0", 206, "0", "bytes 0-0/10"),
            ("bytes=2-4", 206, "234", "bytes 2-4/10"),
            ("bytes=8-", 206, "89", "bytes 8-9/10"),
            ("bytes=8-99", 206, "89", "bytes 8-9/10"),
            ("bytes=-3", 206, "789", "bytes 7-9/10"),
            ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
            ("bytes=10-", 416, "", "bytes */10"),
            ("bytes=-0", 416, "", "bytes */10"),
            ("bytes=4-2", 200, "0123456789", ""),
            ("bytes=0-1,3-4", 200, "0123456789", ""),
            ("bytes=-", 200, "0123456789", ""),
            ("bytes=+1-2", 200, "0123456789", ""),
            ("lines=1-2", 200, "0123456789", ""),
        ];
        for (range, status, body, content_range) in cases {
            let reply = ranged(ten(), &asking(header::RANGE, range), cut);
            assert_eq!(reply.status(), status, "{range}");
            let said = reply.headers().get(header::CONTENT_RANGE).map_or("", |v| v.to_str().unwrap());
            assert_eq!(said, content_range, "{range}");
            assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), body, "{range}");
        }
    }

    #[test]
    fn a_head_has_the_length_and_no_body() {
        let head = for_method(ten(), &Method::HEAD);
        assert_eq!((&head.headers()[header::CONTENT_LENGTH], head.body().len()), (&HeaderValue::from(10), 0));
        let same = tagged(ten(), tag("t"), &asking(header::IF_NONE_MATCH, "\"t\""));
        let head = for_method(same, &Method::HEAD);
        assert_eq!(
            (head.status(), head.headers().get(header::CONTENT_LENGTH)),
            (StatusCode::NOT_MODIFIED, None)
        );
    }

    #[test]
    fn a_range_of_something_else_is_the_whole() {
        let mut asked = asking(header::RANGE, "bytes=0-0");
        asked.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(ranged(ten(), &asked, cut).status(), 200);
        asked.insert(header::IF_RANGE, HeaderValue::from_static("\"t\""));
        assert_eq!(ranged(ten(), &asked, cut).status(), 206);
    }

    #[test]
    fn known_tags_are_not_sent_again() {
        for (value, status) in
            [("\"t\"", 304), ("W/\"t\"", 304), ("\"x\", \"t\"", 304), ("*", 304), ("\"x\"", 200), ("t", 200)]
        {
            let reply = tagged(
                ok(Bytes::from_static(b"x"), TEXT, Freshness::Immutable),
                tag("t"),
                &asking(header::IF_NONE_MATCH, value),
            );
            assert_eq!(reply.status(), status, "{value}");
        }
    }

    #[tokio::test]
    async fn error_bodies_are_what_go_can_print() {
        let reply = refuse(&Refusal::NotFound(format!("a\r\nb\x1b[1m{}", "é".repeat(1000))));
        assert_eq!(reply.status(), 404);
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.len() <= MAX_ERROR && text.starts_with("not found: a  b [1mé") && text.ends_with("é\n"));
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn faults_are_never_kept_and_never_absence() {
        for refusal in [
            Refusal::Unavailable(String::new()),
            Refusal::Timeout(String::new()),
            Refusal::Busy(String::new()),
            Refusal::Loop,
        ] {
            let reply = refuse(&refusal);
            assert!(reply.status().is_server_error());
            assert_eq!(reply.headers()[header::CACHE_CONTROL], "no-store");
        }
    }
}
