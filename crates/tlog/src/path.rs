//! Paths of tiles, as the Go checksum database and as C2SP tlog-tiles write them.
//!
//! Both end in `<N>[.p/<W>]`: N in groups of three digits, all but the last prefixed with `x`, and the width
//! only if the tile is partial. What comes before differs: `tile/8/<L>/` and `tile/8/data/` there, `tile/<L>/`
//! and `tile/entries/` here. No path is both.

use crate::node::MAX_SIZE;
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, Tile, TileLevel};
use std::fmt;

/// A well-formed path in the form of the Go checksum database, also one that no log of height 8 has.
///
/// What parses is exactly what `tlog.ParseTilePath` of the Go reference accepts, and formats to the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TilePath {
    /// Height of the tile, 1 to 30.
    pub height: u8,
    /// Level of the tile.
    pub level: PathLevel,
    /// Place within the level, at most 2^63 - 1.
    pub n: u64,
    /// Number of entries, 1 to 2^height.
    pub width: u32,
}

/// The level in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLevel {
    /// Records.
    Data,
    /// Hashes of tree level height · this; at most 2^63 - 1.
    Hashes(u64),
}

impl TilePath {
    /// Parses `tile/<H>/<L>/<N>[.p/<W>]` or `tile/<H>/data/<N>[.p/<W>]`, without a leading slash.
    ///
    /// # Errors
    ///
    /// [`MalformedPath`] unless the path is the one canonical way to write such a tile.
    pub fn parse(path: &str) -> Result<Self, MalformedPath> {
        parse_sumdb(path).ok_or(MalformedPath)
    }

    /// The tile, if it is one of height 8 that some log may have.
    pub fn tile(&self) -> Option<Tile> {
        if self.height != TILE_HEIGHT {
            return None;
        }
        let level = match self.level {
            PathLevel::Data => TileLevel::Data,
            PathLevel::Hashes(level) => TileLevel::Hashes(u8::try_from(level).ok()?),
        };
        Tile::new(level, self.n, u16::try_from(self.width).ok()?)
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.height)?;
        match self.level {
            PathLevel::Data => f.write_str("data")?,
            PathLevel::Hashes(level) => write!(f, "{level}")?,
        }
        let partial = (u64::from(self.width) != 1 << self.height).then_some(self.width);
        write!(f, "/{}", Place { n: self.n, partial })
    }
}

impl Tile {
    /// Parses the path of a tile as the Go checksum database writes it, without a leading slash.
    ///
    /// # Errors
    ///
    /// [`PathError::Malformed`] for what [`TilePath::parse`] refuses; [`PathError::NotServed`] for well-formed
    /// paths of another height, or of a tile that no log can have.
    pub fn parse_sumdb(path: &str) -> Result<Self, PathError> {
        TilePath::parse(path)?.tile().ok_or(PathError::NotServed)
    }

    /// Parses the path of a tile as C2SP tlog-tiles writes it, without a leading slash.
    ///
    /// # Errors
    ///
    /// [`PathError::Malformed`] unless the path is the one canonical way to write a tile, with a level of at most
    /// 63; [`PathError::NotServed`] for well-formed paths of a tile that no log of [`MAX_SIZE`] records can have.
    pub fn parse_c2sp(path: &str) -> Result<Self, PathError> {
        let (level, n, width) = parse_c2sp(path).ok_or(PathError::Malformed)?;
        Self::new(level, n, width).ok_or(PathError::NotServed)
    }

    /// The path as the Go checksum database writes it: `tile/8/0/000`, `tile/8/data/x001/234.p/5`.
    pub fn sumdb_path(&self) -> String {
        match self.level() {
            TileLevel::Data => format!("tile/8/data/{}", Place::of(self)),
            TileLevel::Hashes(level) => format!("tile/8/{level}/{}", Place::of(self)),
        }
    }

    /// The path as C2SP tlog-tiles writes it: `tile/0/000`, `tile/entries/x001/234.p/5`.
    pub fn c2sp_path(&self) -> String {
        match self.level() {
            TileLevel::Data => format!("tile/entries/{}", Place::of(self)),
            TileLevel::Hashes(level) => format!("tile/{level}/{}", Place::of(self)),
        }
    }
}

fn parse_sumdb(path: &str) -> Option<TilePath> {
    let rest = path.strip_prefix("tile/")?;
    let (height, rest) = rest.split_once('/')?;
    let (level, place) = rest.split_once('/')?;
    let height = u8::try_from(parse_decimal(height)?).ok().filter(|h| (1..=30).contains(h))?;
    let level = if level == "data" { PathLevel::Data } else { PathLevel::Hashes(parse_decimal(level)?) };
    let full = 1_u32 << height;
    let Place { n, partial } = Place::parse(place, full)?;
    Some(TilePath { height, level, n, width: partial.unwrap_or(full) })
}

fn parse_c2sp(path: &str) -> Option<(TileLevel, u64, u16)> {
    let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
    let level = if level == "entries" {
        TileLevel::Data
    } else {
        TileLevel::Hashes(u8::try_from(parse_decimal(level)?).ok().filter(|level| *level < 64)?)
    };
    let Place { n, partial } = Place::parse(place, u32::from(TILE_WIDTH))?;
    let width = partial.map_or(Some(TILE_WIDTH), |width| u16::try_from(width).ok())?;
    Some((level, n, width))
}

/// The end of a path: place within the level and, for a partial tile, the width.
struct Place {
    n: u64,
    partial: Option<u32>,
}

impl Place {
    fn of(tile: &Tile) -> Self {
        Self { n: tile.n(), partial: (!tile.is_full()).then(|| tile.width().into()) }
    }

    /// `full` is the width of a full tile, which is never written.
    fn parse(text: &str, full: u32) -> Option<Self> {
        let (groups, partial) = match text.split_once(".p/") {
            None => (text, None),
            Some((groups, width)) => {
                let width = u32::try_from(parse_decimal(width)?).ok().filter(|w| (1..full).contains(w))?;
                (groups, Some(width))
            }
        };
        Some(Self { n: parse_groups(groups)?, partial })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.n.checked_ilog(1000).unwrap_or(0);
        for power in (1..=groups).rev() {
            write!(f, "x{:03}/", self.n / 1000_u64.pow(power) % 1000)?;
        }
        write!(f, "{:03}", self.n % 1000)?;
        match self.partial {
            Some(width) => write!(f, ".p/{width}"),
            None => Ok(()),
        }
    }
}

/// Parses `x001/x234/067`: groups of three digits, of which the first is not zero unless it is the only one.
fn parse_groups(text: &str) -> Option<u64> {
    let (leading, last) = match text.rsplit_once('/') {
        Some((leading, last)) => (Some(leading), last),
        None => (None, text),
    };
    let mut n = 0_u64;
    for group in leading.into_iter().flat_map(|leading| leading.split('/')) {
        n = n.checked_mul(1000)?.checked_add(parse_group(group.strip_prefix('x')?)?)?;
        if n == 0 {
            return None;
        }
    }
    n.checked_mul(1000)?.checked_add(parse_group(last)?).filter(|n| *n <= MAX_SIZE)
}

fn parse_group(digits: &str) -> Option<u64> {
    if digits.len() != 3 { None } else { parse_digits(digits) }
}

/// Parses a number in canonical decimal, at most 2^63 - 1.
fn parse_decimal(text: &str) -> Option<u64> {
    if text.len() > 1 && text.starts_with('0') {
        return None;
    }
    parse_digits(text).filter(|n| *n <= MAX_SIZE)
}

/// Parses one or more digits; unlike [`str::parse`] it takes no sign.
fn parse_digits(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A path is not the canonical path of any tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPath;

impl fmt::Display for MalformedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed tile path")
    }
}

impl std::error::Error for MalformedPath {}

/// A path does not name a tile that a log may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It is not the canonical path of any tile: a bad request.
    Malformed,
    /// It is well-formed, but of another height or beyond every log: not found.
    NotServed,
}

impl From<MalformedPath> for PathError {
    fn from(_: MalformedPath) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => MalformedPath.fmt(f),
            Self::NotServed => f.write_str("no such tile: only tiles of height 8 and levels 0 to 7 exist"),
        }
    }
}

impl std::error::Error for PathError {}
