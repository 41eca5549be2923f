//! Lines of strace: who is connected to, what a resolver is asked, where git and ssh are sent.

use std::net::IpAddr;

/// Something that may tell others of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A socket is connected, or something is sent without that.
    Connect(Address),
    /// The question of a packet to a name server, in lower case.
    Question(String),
    /// A host that git or ssh is given.
    Address(String),
}

/// The other end of a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Net {
        host: String,
        port: u16,
    },
    /// A service of this machine that speaks to others, or a family that is not known here.
    Other(String),
}

/// The process of a line and what happens in it; `None` for what says nothing.
pub(crate) fn read(line: &str) -> Option<(u32, Vec<Event>)> {
    let (pid, call) = line.split_once(' ')?;
    let (pid, call) = (pid.parse().ok()?, call.trim_start());
    let name = call.strip_prefix("<... ").unwrap_or(call);
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let events = match name {
        "connect" => address(call).map(Event::Connect).into_iter().collect(),
        "sendto" | "sendmsg" | "sendmmsg" => {
            let to = address(call).map(Event::Connect);
            to.into_iter()
                .chain(strings(call).iter().filter_map(|sent| question(sent)).map(Event::Question))
                .collect()
        }
        "execve" => hosts(call).into_iter().map(Event::Address).collect(),
        _ => return None,
    };
    Some((pid, events))
}

/// Whether a host is this machine, as an unspecified address is too.
pub(crate) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// The address in a call. One of another family than IP is of interest if it may pass names on.
fn address(call: &str) -> Option<Address> {
    let family = between(call, "sa_family=", &[',', '}'])?;
    let port = || between(call, "htons(", &[')'])?.parse().ok();
    match family {
        "AF_INET" => {
            Some(Address::Net { host: between(call, "inet_addr(\"", &['"'])?.to_owned(), port: port()? })
        }
        "AF_INET6" => {
            let host = between(call, "inet_pton(AF_INET6, \"", &['"'])?.to_owned();
            Some(Address::Net { host, port: port()? })
        }
        "AF_UNIX" | "AF_LOCAL" => {
            let path = between(call, "sun_path=", &['}', ','])?;
            let passes_on = ["nscd", "resolve", "sssd"].iter().any(|service| path.contains(service));
            (passes_on && call.contains(" = 0")).then(|| Address::Other(path.to_owned()))
        }
        "AF_UNSPEC" | "AF_NETLINK" => None,
        other => Some(Address::Other(other.to_owned())),
    }
}

/// What stands after `start`, up to one of `ends`.
fn between<'a>(text: &'a str, start: &str, ends: &[char]) -> Option<&'a str> {
    let rest = text.get(text.find(start)?.checked_add(start.len())?..)?;
    rest.get(..rest.find(ends)?)
}

/// The strings of a call, as bytes.
fn strings(call: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut bytes = call.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'"' {
            continue;
        }
        let mut string = Vec::new();
        while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
            if byte != b'\\' {
                string.push(byte);
                continue;
            }
            let mut code = 0_u32;
            let mut digits = 0;
            while let Some(digit) = bytes.peek().filter(|byte| digits < 3 && (b'0'..=b'7').contains(*byte)) {
                code = code * 8 + u32::from(digit - b'0');
                digits += 1;
                bytes.next();
            }
            let plain = if digits > 0 { u8::try_from(code).ok() } else { bytes.next().map(control) };
            string.extend(plain);
        }
        found.push(string);
    }
    found
}

/// What stands after a backslash.
fn control(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 11,
        b'f' => 12,
        other => other,
    }
}

/// The name that a packet to a name server asks for (RFC 1035, section 4.1).
fn question(packet: &[u8]) -> Option<String> {
    let (header, mut rest) = packet.split_at_checked(12)?;
    // A standard query with one question, and nothing but what extends the protocol besides.
    if header.get(2)? & 0xf8 != 0 || header.get(4..10)? != [0, 1, 0, 0, 0, 0] {
        return None;
    }
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            break;
        }
        let (label, after) = after.split_at_checked(usize::from(*length).min(64))?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = after;
    }
    (!labels.is_empty()).then(|| labels.join("."))
}

/// The hosts in the arguments of git and ssh.
fn hosts(call: &str) -> Vec<String> {
    let strings: Vec<_> =
        strings(call).into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    let program = strings.first().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if program != "git" && program != "ssh" && !program.starts_with("git-remote") {
        return Vec::new();
    }
    let host = |text: &String| {
        if let Some(host) = text.strip_prefix("-oHostName=") {
            return Some(host.to_owned());
        }
        let (_, rest) = text.split_once("://").filter(|(scheme, _)| *scheme != "file")?;
        let authority = rest.split('/').next()?;
        let place = authority.rsplit('@').next()?;
        let end = place.rfind(':').filter(|at| !place.get(*at..).is_some_and(|rest| rest.contains(']')));
        place.get(..end.unwrap_or(place.len())).map(str::to_owned)
    };
    strings.iter().filter_map(host).collect()
}
