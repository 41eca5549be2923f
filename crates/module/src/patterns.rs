//! Lists of globs over module paths, as GOPRIVATE and its relatives hold them.

use std::fmt;

use crate::Error;

/// A comma-separated list of globs. Each glob is compared with as many leading elements of a path as it
/// has itself, so `*.corp.example,rsc.io/private` covers `git.corp.example/a/b` and `rsc.io/private/x`.
///
/// Globs are those of Go's `path.Match`: `*` and `?` do not match `/`, `[a-z]` and `[^a-z]` are classes,
/// `\` takes the next character as it is. As in `go`, a malformed glob matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    source: String,
    globs: Vec<Glob>,
    malformed: Vec<String>,
}

impl Patterns {
    /// Reads a list that protects something: each of its globs must be able to match.
    ///
    /// # Errors
    /// A glob is malformed, or has white space in it, which no path has: `go` takes the space in `a.example, b.example`
    /// for a part of the second glob.
    pub fn parse(list: &str) -> Result<Self, Error> {
        if let Some(spaced) = list.split(',').find(|text| text.contains(char::is_whitespace)) {
            return Err(Error::malformed(format!(
                "pattern {spaced:?} has white space in it and would match nothing: separate patterns by commas alone"
            )));
        }
        let patterns = Self::new(list);
        match patterns.malformed() {
            [] => Ok(patterns),
            [first, ..] => Err(Error::malformed(format!(
                "malformed pattern {first:?} would match nothing: a [ needs characters and a ] behind it, a \\ any \
                 character"
            ))),
        }
    }

    /// Reads a list as `go` does. Nothing is an error; see [`Patterns::malformed`].
    #[must_use]
    pub fn new(list: &str) -> Self {
        let mut patterns = Self { source: list.to_owned(), ..Self::default() };
        let texts = list.split(',').map(|text| text.strip_suffix('/').unwrap_or(text));
        for text in texts.filter(|text| !text.is_empty()) {
            match Glob::parse(text) {
                Some(glob) => patterns.globs.push(glob),
                None => patterns.malformed.push(text.to_owned()),
            }
        }
        patterns
    }

    /// Whether a glob of the list matches `path`, a plain (unescaped) module or package path.
    #[must_use]
    pub fn matches(&self, path: impl AsRef<str>) -> bool {
        let path = path.as_ref();
        self.globs.iter().any(|glob| leading_elements(path, glob.elements).is_some_and(|p| glob.matches(p)))
    }

    /// Whether the list has no glob that could match anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// The malformed globs, which match nothing: worth a warning where a list is meant to protect.
    #[must_use]
    pub fn malformed(&self) -> &[String] {
        &self.malformed
    }
}

impl fmt::Display for Patterns {
    /// The list as it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// The first `count` elements of `path`; `None` if it has fewer.
fn leading_elements(path: &str, count: usize) -> Option<&str> {
    let end = path.match_indices('/').map(|(at, _)| at).chain([path.len()]).nth(count.checked_sub(1)?)?;
    path.get(..end)
}

/// One glob: pieces, between which stars stand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    /// How many path elements it has.
    elements: usize,
    pieces: Vec<Piece>,
}

/// What follows a star or the start of the glob.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    after_star: bool,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    AnyButSlash,
    Class { negated: bool, ranges: Vec<(u32, u32)> },
}

impl Glob {
    fn parse(text: &str) -> Option<Self> {
        let elements = text.matches('/').count() + 1;
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let unstarred = rest.trim_start_matches('*');
            let (piece, next) = unstarred.split_at(piece_end(unstarred));
            pieces.push(Piece { after_star: unstarred.len() < rest.len(), tokens: parse_tokens(piece)? });
            rest = next;
        }
        Some(Self { elements, pieces })
    }

    fn matches(&self, name: &str) -> bool {
        let mut name = name.as_bytes();
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece.find(name, pieces.peek().is_none()) {
                Some(rest) => name = rest,
                None => return false,
            }
        }
        name.is_empty()
    }
}

/// Where a piece ends: at the next star that is neither escaped nor inside a class.
fn piece_end(text: &str) -> usize {
    let mut in_class = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => return at,
            _ => {}
        }
    }
    text.len()
}

fn parse_tokens(mut text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    while !text.is_empty() {
        if let Some(class) = text.strip_prefix('[') {
            let (class, rest) = parse_class(class)?;
            tokens.push(class);
            text = rest;
        } else if let Some(rest) = text.strip_prefix('?') {
            tokens.push(Token::AnyButSlash);
            text = rest;
        } else {
            let mut literal = text.strip_prefix('\\').unwrap_or(text).chars();
            let mut buffer = [0; 4];
            tokens.extend(literal.next()?.encode_utf8(&mut buffer).bytes().map(Token::Byte));
            text = literal.as_str();
        }
    }
    Some(tokens)
}

/// Parses what follows `[`, through the closing bracket.
fn parse_class(text: &str) -> Option<(Token, &str)> {
    let (negated, mut text) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix(']').filter(|_| !ranges.is_empty()) {
            return Some((Token::Class { negated, ranges }, rest));
        }
        let (low, rest) = parse_class_char(text)?;
        let (high, rest) = match rest.strip_prefix('-') {
            Some(rest) => parse_class_char(rest)?,
            None => (low, rest),
        };
        ranges.push((low, high));
        text = rest;
    }
}

/// One character of a class, perhaps escaped; something must follow it.
fn parse_class_char(text: &str) -> Option<(u32, &str)> {
    if text.starts_with(['-', ']']) {
        return None;
    }
    let mut chars = text.strip_prefix('\\').unwrap_or(text).chars();
    let c = chars.next()?;
    Some((u32::from(c), chars.as_str())).filter(|(_, rest)| !rest.is_empty())
}

impl Piece {
    /// What is left of `name` after the piece, found at the start or, after a star, at the first place
    /// that the star can reach. The last piece must leave nothing.
    fn find<'n>(&self, name: &'n [u8], last: bool) -> Option<&'n [u8]> {
        if self.after_star && self.tokens.is_empty() {
            return (!name.contains(&b'/')).then_some(&[]);
        }
        let reach = match self.after_star {
            true => name.iter().position(|&b| b == b'/').unwrap_or(name.len()),
            false => 0,
        };
        (0..=reach)
            .filter_map(|skipped| self.strip(name.get(skipped..)?))
            .find(|rest| !last || rest.is_empty())
    }

    fn strip<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        self.tokens.iter().try_fold(name, |name, token| token.strip(name))
    }
}

impl Token {
    fn strip<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        match self {
            Self::Byte(byte) => name.strip_prefix(&[*byte]),
            Self::AnyButSlash => {
                let (_, rest) = split_char(name)?;
                (name.first() != Some(&b'/')).then_some(rest)
            }
            Self::Class { negated, ranges } => {
                let (c, rest) = split_char(name)?;
                let inside = ranges.iter().any(|&(low, high)| (low..=high).contains(&c));
                (inside != *negated).then_some(rest)
            }
        }
    }
}

/// Splits off the first character; a byte that starts none counts as U+FFFD, because a star can stop
/// inside a character.
fn split_char(name: &[u8]) -> Option<(u32, &[u8])> {
    let head = name.get(..name.len().min(4))?;
    let first = head.utf8_chunks().next()?.valid().chars().next();
    let (c, length) = first.map_or(('\u{FFFD}', 1), |c| (c, c.len_utf8()));
    Some((u32::from(c), name.get(length..)?))
}
