//! Tokens of a page, found as Go's lenient XML decoder finds them.

/// What is of interest of a token: element names without what stands before a colon.
pub(super) enum Token {
    Start(String, Vec<(String, String)>),
    End(String),
    /// Text, comments, instructions, declarations.
    Other,
}

/// Why the rest of a page cannot be read.
pub(super) type Fault = &'static str;

type Scanned<T> = Result<T, Fault>;

const END: Fault = "unexpected EOF";

pub(super) struct Scanner<'a> {
    rest: &'a [u8],
    /// The end tag that an element without content stands for.
    closing: Option<String>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(html: &'a [u8]) -> Self {
        Self { rest: html, closing: None }
    }

    /// The next token; `None` at the end of the page.
    pub(super) fn token(&mut self) -> Scanned<Option<Token>> {
        if let Some(name) = self.closing.take() {
            return Ok(Some(Token::End(name)));
        }
        let Some(first) = self.peek() else { return Ok(None) };
        if first != b'<' {
            return self.text(Until::Tag).map(|_| Some(Token::Other));
        }
        self.skip(1);
        let token = match self.peek().ok_or(END)? {
            b'/' => self.end_tag()?,
            b'?' => self.instruction()?,
            b'!' => self.declaration()?,
            _ => self.start_tag()?,
        };
        Ok(Some(token))
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    fn next(&mut self) -> Scanned<u8> {
        let (first, rest) = self.rest.split_first().ok_or(END)?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\r' | b'\n' | b'\t')) {
            self.skip(1);
        }
    }

    /// Skips through the next occurrence of `end`, and returns what was before it.
    fn through(&mut self, end: &[u8]) -> Scanned<&'a [u8]> {
        let at = self.rest.windows(end.len()).position(|window| window == end).ok_or(END)?;
        let (before, _) = self.rest.split_at(at);
        self.skip(at.saturating_add(end.len()));
        Ok(before)
    }

    fn end_tag(&mut self) -> Scanned<Token> {
        self.skip(1);
        let name = self.name("expected element name after </")?;
        self.skip_space();
        if self.next()? != b'>' {
            return Err("invalid characters between </ and >");
        }
        Ok(Token::End(name))
    }

    fn start_tag(&mut self) -> Scanned<Token> {
        let name = self.name("expected element name after <")?;
        let mut attributes = Vec::new();
        loop {
            self.skip_space();
            match self.peek().ok_or(END)? {
                b'>' => {
                    self.skip(1);
                    return Ok(Token::Start(name, attributes));
                }
                b'/' => {
                    self.skip(1);
                    if self.next()? != b'>' {
                        return Err("expected /> in element");
                    }
                    self.closing = Some(name.clone());
                    return Ok(Token::Start(name, attributes));
                }
                _ => attributes.push(self.attribute()?),
            }
        }
    }

    /// An attribute without a value has its own name as its value.
    fn attribute(&mut self) -> Scanned<(String, String)> {
        let name = self.name("expected attribute name in element")?;
        self.skip_space();
        if self.peek().ok_or(END)? != b'=' {
            return Ok((name.clone(), name));
        }
        self.skip(1);
        self.skip_space();
        let value = match self.peek().ok_or(END)? {
            quote @ (b'"' | b'\'') => {
                self.skip(1);
                self.text(Until::Quote(quote))?
            }
            _ => self.bare_value()?,
        };
        Ok((name, value))
    }

    /// A value without quotes.
    fn bare_value(&mut self) -> Scanned<String> {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_:-".contains(b);
        let length = self.rest.iter().take_while(|b| plain(b)).count();
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        if rest.is_empty() { Err(END) } else { Ok(String::from_utf8_lossy(value).into_owned()) }
    }

    /// A name, without its part before a colon. `missing` says what is wrong if there is none.
    fn name(&mut self, missing: Fault) -> Scanned<String> {
        let name = self.raw_name()?.ok_or(missing)?;
        let name = valid_name(name).ok_or("invalid XML name")?;
        match name.split_once(':') {
            Some((_, local)) if local.contains(':') => Err(missing),
            Some((space, local)) if !space.is_empty() && !local.is_empty() => Ok(local.to_owned()),
            _ => Ok(name.to_owned()),
        }
    }

    /// The bytes that could be a name, more of which would have to follow at the end of the page; `None` for no byte.
    fn raw_name(&mut self) -> Scanned<Option<&'a [u8]>> {
        let part = |b: &u8| !b.is_ascii() || b.is_ascii_alphanumeric() || b"_:.-".contains(b);
        let length = self.rest.iter().take_while(|b| part(b)).count();
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        if rest.is_empty() { Err(END) } else { Ok((length > 0).then_some(name)) }
    }

    fn instruction(&mut self) -> Scanned<Token> {
        self.skip(1);
        let target = self.raw_name()?.ok_or("expected target name after <?")?;
        let target = valid_name(target).ok_or("invalid XML name")?;
        self.skip_space();
        let content = self.through(b"?>")?;
        if target == "xml" {
            check_encoding(content)?;
        }
        Ok(Token::Other)
    }

    fn declaration(&mut self) -> Scanned<Token> {
        self.skip(1);
        match self.next()? {
            b'-' if self.next()? != b'-' => Err("invalid sequence <!- not part of <!--"),
            b'-' => {
                self.through(b"--")?;
                if self.next()? != b'>' {
                    return Err("invalid sequence \"--\" not allowed in comments");
                }
                Ok(Token::Other)
            }
            b'[' => {
                self.rest = self.rest.strip_prefix(b"CDATA[").ok_or("invalid <![ sequence")?;
                self.text(Until::CData).map(|_| Token::Other)
            }
            _ => self.directive(),
        }
    }

    /// `<!DOCTYPE …>` and the like: to the `>` that is neither quoted nor nested. Comments may stand in it.
    fn directive(&mut self) -> Scanned<Token> {
        let (mut quoted, mut depth) = (None, 0_u32);
        loop {
            let byte = self.next()?;
            match (quoted, byte) {
                (Some(quote), byte) if byte == quote => quoted = None,
                (Some(_), _) => {}
                (None, b'>') if depth == 0 => return Ok(Token::Other),
                (None, b'>') => depth = depth.saturating_sub(1),
                (None, b'\'' | b'"') => quoted = Some(byte),
                (None, b'<') => match self.rest.strip_prefix(b"!--") {
                    Some(comment) => {
                        self.rest = comment;
                        self.through(b"-->")?;
                    }
                    None => {
                        depth = depth.saturating_add(1);
                        self.skip_false_comment();
                    }
                },
                (None, _) => {}
            }
        }
    }

    /// What began like a comment and is none was looked at already, but for the byte that showed it.
    fn skip_false_comment(&mut self) {
        let matched = self.rest.iter().zip(b"!--").take_while(|(a, b)| a == b).count();
        self.skip(matched);
    }

    /// Text with its escapes resolved, up to what ends it.
    fn text(&mut self, until: Until) -> Scanned<String> {
        let mut text = Vec::new();
        let (mut before, mut last) = (0_u8, 0_u8);
        loop {
            let Some(byte) = self.peek() else {
                if until == Until::CData {
                    return Err(END);
                }
                break;
            };
            if !matches!(until, Until::Quote(_)) && (before, last, byte) == (b']', b']', b'>') {
                if until == Until::Tag {
                    return Err("unescaped ]]> not in CDATA section");
                }
                self.skip(1);
                text.truncate(text.len().saturating_sub(2));
                break;
            }
            if byte == b'<' && until != Until::CData {
                if until == Until::Tag {
                    break;
                }
                return Err("unescaped < inside quoted string");
            }
            self.skip(1);
            if until == Until::Quote(byte) {
                break;
            }
            if byte == b'&' && until != Until::CData {
                self.escape(&mut text)?;
                (before, last) = (0, 0);
                continue;
            }
            match byte {
                b'\r' => text.push(b'\n'),
                b'\n' if last == b'\r' => {}
                byte => text.push(byte),
            }
            (before, last) = (last, byte);
        }
        let text = String::from_utf8(text).map_err(|_| "invalid UTF-8")?;
        if text.chars().all(is_xml_char) { Ok(text) } else { Err("illegal character code") }
    }

    /// Adds what an escape stands for; one that is none stays as it is.
    fn escape(&mut self, text: &mut Vec<u8>) -> Scanned<()> {
        let start = self.rest;
        let meaning = if self.peek().ok_or(END)? == b'#' {
            self.skip(1);
            self.numeric_escape()?
        } else {
            let name = self.raw_name()?.unwrap_or_default();
            named_escape(name).filter(|_| self.peek() == Some(b';'))
        };
        if self.peek().ok_or(END)? == b';' {
            self.skip(1);
        }
        match meaning {
            Some(meaning) => text.extend_from_slice(meaning.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                text.push(b'&');
                let used = start.len().saturating_sub(self.rest.len());
                text.extend_from_slice(start.get(..used).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn numeric_escape(&mut self) -> Scanned<Option<char>> {
        let radix = if self.peek().ok_or(END)? == b'x' { 16 } else { 10 };
        self.skip(usize::from(radix == 16));
        let length = self.rest.iter().take_while(|b| char::from(**b).is_digit(radix)).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        if self.peek().ok_or(END)? != b';' {
            return Ok(None);
        }
        let number = str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, radix).ok());
        let number = number.filter(|number| *number <= u64::from(u32::from(char::MAX)));
        // What is no character, a surrogate, counts as one that is not known.
        Ok(number.map(|n| u32::try_from(n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Until {
    Tag,
    Quote(u8),
    CData,
}

fn named_escape(name: &[u8]) -> Option<char> {
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"apos" => '\'',
        b"quot" => '"',
        _ => return None,
    })
}

/// XML's rule for names, in ASCII; other characters are all taken.
fn valid_name(name: &[u8]) -> Option<&str> {
    let name = str::from_utf8(name).ok()?;
    let first = name.chars().next()?;
    (!first.is_ascii() || first.is_ascii_alphabetic() || matches!(first, '_' | ':')).then_some(name)
}

fn is_xml_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// XML declarations of another version or character set end the reading.
fn check_encoding(declaration: &[u8]) -> Scanned<()> {
    let version = declared(b"version=", declaration);
    if !version.is_empty() && version != b"1.0" {
        return Err("unsupported version; only version 1.0 is supported");
    }
    let charset = declared(b"encoding=", declaration);
    let known = [b"".as_slice(), b"utf-8", b"ascii"];
    let known = known.iter().any(|name| name.eq_ignore_ascii_case(charset));
    if known { Ok(()) } else { Err("can't decode this charset") }
}

/// The quoted text after the first `parameter` that has one; empty if there is none.
fn declared<'d>(parameter: &[u8], mut declaration: &'d [u8]) -> &'d [u8] {
    while let Some(at) = declaration.windows(parameter.len()).position(|window| window == parameter) {
        let after = declaration.get(at.saturating_add(parameter.len())..).unwrap_or_default();
        let Some((quote, value)) = after.split_first() else { return &[] };
        if matches!(quote, b'"' | b'\'') {
            let end = value.iter().position(|b| b == quote);
            return end.and_then(|end| value.get(..end)).unwrap_or_default();
        }
        declaration = value;
    }
    &[]
}
