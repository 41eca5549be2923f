//! The syntax of go.mod: words, strings, punctuation, `//` comments, lines and parenthesised blocks.

use crate::{error::Error, quote::quote_char, unicode::is_printable};

/// Where something stands, both counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    line: usize,
    /// In characters.
    column: usize,
}

impl Position {
    pub(super) fn error(self, reason: &str) -> Error {
        let Self { line, column } = self;
        Error::malformed(match column {
            1 => format!("go.mod:{line}: {reason}"),
            _ => format!("go.mod:{line}:{column}: {reason}"),
        })
    }
}

/// A directive with its arguments, on a line of its own or in a block of such lines.
pub(super) struct Line<'a> {
    pub(super) verb: &'a str,
    pub(super) arguments: Vec<&'a str>,
    pub(super) comments: Comments<'a>,
    /// Where the line's first word stands.
    pub(super) position: Position,
}

/// The comments that belong to a line: those directly above and the one behind it, or in a block, if the
/// line has none, those above the block. An empty one stands for a blank line.
#[derive(Clone, Default)]
pub(super) struct Comments<'a>(Vec<&'a str>);

impl Comments<'_> {
    /// The text, without slashes and surrounding white space.
    pub(super) fn text(&self) -> String {
        let lines: Vec<&str> = self.0.iter().filter_map(|c| c.strip_prefix("//")).map(str::trim).collect();
        lines.join("\n")
    }
}

/// Gives the lines of a file one by one; those of blocks with more than one word before the parenthesis,
/// which are unknown, are left out.
pub(super) struct Statements<'a> {
    lexer: Lexer<'a>,
    block: Option<Block<'a>>,
}

struct Block<'a> {
    verb: &'a str,
    known: bool,
    comments: Comments<'a>,
    position: Position,
    has_lines: bool,
}

/// The words of a line, and what ended it.
struct Words<'a> {
    words: Vec<&'a str>,
    position: Position,
    suffix: Option<&'a str>,
    opens_block: bool,
}

impl<'a> Statements<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lexer: Lexer::new(text), block: None }
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Line<'a>>, Error> {
        loop {
            let line = match self.block.take() {
                Some(block) => self.next_in_block(block)?,
                None => match self.next_at_top()? {
                    Top::End => return Ok(None),
                    Top::Line(line) => Some(line),
                    Top::Block => None,
                },
            };
            if line.is_some() {
                return Ok(line);
            }
        }
    }

    fn next_at_top(&mut self) -> Result<Top<'a>, Error> {
        let mut comments = Comments::default();
        let first = loop {
            let token = self.lexer.next()?;
            match token.kind {
                // A blank line parts comments from what follows.
                Kind::Newline => comments = Comments::default(),
                Kind::Comment => comments.0.push(token.text),
                Kind::End => return Ok(Top::End),
                _ => break token,
            }
        };
        let line = self.words(first, true)?;
        let (verb, arguments) = line.words.split_first().map_or(("", &[][..]), |(verb, rest)| (*verb, rest));
        if line.opens_block {
            let known = arguments.is_empty() && ["module", "require", "retract", "ignore"].contains(&verb);
            let position = line.position;
            self.block = Some(Block { verb, known, comments, position, has_lines: false });
            return Ok(Top::Block);
        }
        comments.0.extend(line.suffix);
        Ok(Top::Line(Line { verb, arguments: arguments.to_vec(), comments, position: line.position }))
    }

    /// The next line of `block`, which is put back unless it has ended.
    fn next_in_block(&mut self, mut block: Block<'a>) -> Result<Option<Line<'a>>, Error> {
        let mut comments = Comments::default();
        let first = loop {
            let token = self.lexer.next()?;
            match token.kind {
                Kind::Newline => {
                    let after_text = comments.0.last().map_or(block.has_lines, |last| !last.is_empty());
                    comments.0.extend(after_text.then_some(""));
                }
                Kind::Comment => comments.0.push(token.text),
                Kind::CommentBehind => {}
                Kind::End => return Err(self.unterminated(&block)),
                Kind::Close => return self.end_block().map(|()| None),
                _ => break token,
            }
        };
        block.has_lines = true;
        let line = self.words(first, false)?;
        comments.0.extend(line.suffix);
        if comments.0.is_empty() {
            comments = block.comments.clone();
        }
        let (verb, known) = (block.verb, block.known);
        self.block = Some(block);
        Ok(known.then_some(Line { verb, arguments: line.words, comments, position: line.position }))
    }

    fn unterminated(&self, block: &Block<'_>) -> Error {
        let Position { line, column } = block.position;
        let reason = format!("syntax error (unterminated block started at go.mod:{line}:{column})");
        self.lexer.position.error(&reason)
    }

    fn end_block(&mut self) -> Result<(), Error> {
        let position = self.lexer.position;
        let after = self.lexer.next()?;
        if after.kind.ends_line() {
            return Ok(());
        }
        Err(position.error("syntax error (expected newline after closing paren)"))
    }

    /// The rest of the line that starts with `first`. At top level, `(` before the end of a line opens a
    /// block, and `()` there is an empty one.
    fn words(&mut self, first: Token<'a>, at_top: bool) -> Result<Words<'a>, Error> {
        let mut line =
            Words { words: vec![first.text], position: first.position, suffix: None, opens_block: false };
        let mut last_line = first.end_line;
        loop {
            let token = self.lexer.next()?;
            if token.kind.ends_line() {
                // A string can go over a line end; the comment is then not the line's.
                line.suffix = (token.kind == Kind::CommentBehind && last_line == line.position.line)
                    .then_some(token.text);
                return Ok(line);
            }
            if at_top && token.kind == Kind::Open && self.at_block(&mut line, token)? {
                return Ok(line);
            }
            if !(at_top && token.kind == Kind::Open) {
                line.words.push(token.text);
                last_line = token.end_line;
            }
        }
    }

    /// Looks behind an opening parenthesis: whether the line ends there, in a block or an empty block.
    /// Otherwise the parentheses are words of the line.
    fn at_block(&mut self, line: &mut Words<'a>, open: Token<'a>) -> Result<bool, Error> {
        let next = self.lexer.peek()?;
        if next.kind.ends_line() {
            line.opens_block = true;
            self.lexer.next()?;
            // The end of the file is found again by the block's first line.
            return Ok(true);
        }
        line.words.push(open.text);
        if next.kind != Kind::Close {
            return Ok(false);
        }
        let close = self.lexer.next()?;
        if self.lexer.peek()?.kind.ends_line() {
            self.lexer.next()?;
            // An empty block says nothing, whatever its verb.
            line.words.clear();
            return Ok(true);
        }
        line.words.push(close.text);
        Ok(false)
    }
}

enum Top<'a> {
    End,
    Line(Line<'a>),
    Block,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    position: Position,
    /// The line on which it ends.
    end_line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    End,
    Newline,
    /// On a line of its own, its line end included.
    Comment,
    /// After something else, its line end included.
    CommentBehind,
    Open,
    Close,
    /// A word, a string, or other punctuation.
    Word,
}

impl Kind {
    fn ends_line(self) -> bool {
        matches!(self, Self::End | Self::Newline | Self::CommentBehind)
    }
}

struct Lexer<'a> {
    rest: &'a str,
    position: Position,
    /// Whether a token of the current line has been read.
    in_line: bool,
    peeked: Option<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, position: Position { line: 1, column: 1 }, in_line: false, peeked: None }
    }

    fn peek(&mut self) -> Result<Token<'a>, Error> {
        let token = self.next()?;
        self.peeked = Some(token);
        Ok(token)
    }

    fn next(&mut self) -> Result<Token<'a>, Error> {
        if let Some(token) = self.peeked.take() {
            return Ok(token);
        }
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r']).len();
        self.take(blanks);
        let (kind, length) = match self.rest.chars().next() {
            None => (Kind::End, 0),
            Some('\n') => (Kind::Newline, 1),
            Some('/') if self.rest.starts_with("//") => {
                let kind = if self.in_line { Kind::CommentBehind } else { Kind::Comment };
                (kind, self.rest.find('\n').map_or(self.rest.len(), |end| end + 1))
            }
            Some('(') => (Kind::Open, 1),
            Some(')') => (Kind::Close, 1),
            Some('[' | ']' | '{' | '}' | ',') => (Kind::Word, 1),
            Some(delimiter @ ('"' | '`')) => (Kind::Word, self.string_length(delimiter)?),
            Some(c) => (Kind::Word, self.word_length(c)?),
        };
        let position = self.position;
        let text = self.take(length);
        self.in_line = !matches!(kind, Kind::Newline | Kind::Comment | Kind::CommentBehind);
        Ok(Token { kind, text, position, end_line: self.position.line })
    }

    fn string_length(&self, delimiter: char) -> Result<usize, Error> {
        let mut chars = self.rest.char_indices().skip(1);
        let mut newline = false;
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => {
                    newline = true;
                    break;
                }
                '\\' if delimiter == '"' => {
                    chars.next();
                }
                c if c == delimiter => return Ok(at + 1),
                _ => {}
            }
        }
        let reason = if newline { "unexpected newline in string" } else { "unexpected EOF in string" };
        Err(self.position.error(reason))
    }

    fn word_length(&self, first: char) -> Result<usize, Error> {
        const BLOCK_COMMENT: &str = "mod files must use // comments (not /* */ comments)";
        if !is_word_char(first) {
            return Err(self.position.error(&format!("unexpected input character {}", quote_char(first))));
        }
        let end = self.rest.find(|c| !is_word_char(c)).unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or_default();
        let comment = word.find("//").unwrap_or(end);
        match word.find("/*") {
            Some(block) if block < comment => Err(self.position.error(BLOCK_COMMENT)),
            _ => Ok(comment),
        }
    }

    /// Takes `length` bytes, counting lines and columns.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        match taken.rsplit_once('\n') {
            Some((_, last)) => {
                self.position.line += taken.matches('\n').count();
                self.position.column = 1 + last.chars().count();
            }
            None => self.position.column += taken.chars().count(),
        }
        taken
    }
}

fn is_word_char(c: char) -> bool {
    !matches!(c, ' ' | '(' | ')' | '[' | ']' | '{' | '}' | ',') && is_printable(c)
}
