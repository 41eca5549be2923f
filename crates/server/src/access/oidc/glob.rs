//! Patterns of claims: a whole value, with stars for parts of it.

/// A pattern that is compared with the whole of a value: `*` stands for any characters but `/`, `**` for any at all, and
/// everything else for itself.
///
/// These are not the globs of module paths, which cover whatever lies below a path: `corp/lib` is no other repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<Part>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    Star,
    Stars,
}

impl Glob {
    /// Reads a pattern; every text is one.
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, parts.last_mut()) {
                (b'*', Some(last @ (Part::Star | Part::Stars))) => *last = Part::Stars,
                (b'*', _) => parts.push(Part::Star),
                (byte, _) => parts.push(Part::Byte(byte)),
            }
        }
        Self(parts)
    }

    /// What every value that matches begins with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        let literal = self.0.iter().map_while(|part| match part {
            Part::Byte(byte) => Some(*byte),
            Part::Star | Part::Stars => None,
        });
        literal.collect()
    }

    /// Whether one value matches, and no other.
    pub(super) fn is_literal(&self) -> bool {
        self.prefix().len() == self.0.len()
    }

    /// Whether it says nothing: stars alone.
    pub(super) fn is_anything(&self) -> bool {
        !self.0.iter().any(|part| matches!(part, Part::Byte(_)))
    }

    /// Whether the whole of `value` is so. Takes steps in proportion to the product of both lengths.
    pub(super) fn matches(&self, value: &str) -> bool {
        let mut here = vec![false; self.0.len() + 1];
        mark(&mut here, 0);
        self.pass_stars(&mut here);
        for byte in value.bytes() {
            let mut next = vec![false; here.len()];
            for ((at, part), _) in self.0.iter().enumerate().zip(&here).filter(|(_, is_here)| **is_here) {
                match part {
                    Part::Byte(literal) if *literal == byte => mark(&mut next, at + 1),
                    Part::Star if byte != b'/' => mark(&mut next, at),
                    Part::Stars => mark(&mut next, at),
                    Part::Byte(_) | Part::Star => {}
                }
            }
            self.pass_stars(&mut next);
            here = next;
        }
        here.last().copied().unwrap_or(false)
    }

    /// A star may stand for nothing.
    fn pass_stars(&self, here: &mut [bool]) {
        for (at, part) in self.0.iter().enumerate() {
            if here.get(at) == Some(&true) && !matches!(part, Part::Byte(_)) {
                mark(here, at + 1);
            }
        }
    }
}

/// That this many parts have matched so far is one of the possibilities.
fn mark(possible: &mut [bool], parts: usize) {
    if let Some(it) = possible.get_mut(parts) {
        *it = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by trying everything.
    fn slowly(glob: &[Part], value: &[u8]) -> bool {
        let Some((part, rest)) = glob.split_first() else { return value.is_empty() };
        let first = value.first();
        match part {
            Part::Byte(byte) => first == Some(byte) && slowly(rest, &value[1..]),
            Part::Star => {
                slowly(rest, value) || first.is_some_and(|b| *b != b'/') && slowly(glob, &value[1..])
            }
            Part::Stars => slowly(rest, value) || first.is_some() && slowly(glob, &value[1..]),
        }
    }

    proptest! {
        #[test]
        fn matches_what_a_slow_one_matches(glob in "[ab/*]{0,8}", value in "[ab/]{0,8}") {
            let glob = Glob::new(&glob);
            prop_assert_eq!(glob.matches(&value), slowly(&glob.0, value.as_bytes()));
        }
    }

    #[test]
    fn the_whole_value_counts() {
        for (glob, value, is_match) in [
            ("corp/lib", "corp/lib", true),
            ("corp/lib", "corp/lib-evil", false),
            ("corp/lib", "evil/corp/lib", false),
            ("corp/lib", "corp/lib/sub", false),
            ("corp/lib", "Corp/lib", false),
            ("corp/*", "corp/lib", true),
            ("corp/*", "corp/", true),
            ("corp/*", "corp/lib/sub", false),
            ("corp/**", "corp/lib/sub", true),
            ("corp/*", "corp-evil/lib", false),
            ("refs/tags/*", "refs/tags/v1.0.0", true),
            ("refs/tags/*", "refs/tags/sub/v1.0.0", false),
            ("refs/tags/**", "refs/tags/sub/v1.0.0", true),
            ("refs/tags/*", "refs/heads/main", false),
            ("refs/tags/v*", "refs/tags/v1\nrefs/heads", false),
            ("*", "", true),
            ("?[a]", "?[a]", true),
            ("?[a]", "xa", false),
        ] {
            assert_eq!(Glob::new(glob).matches(value), is_match, "{glob} {value}");
        }
        assert!(Glob::new("***").is_anything() && !Glob::new("a*").is_anything());
        assert!(Glob::new("a/b").is_literal() && !Glob::new("a/*").is_literal());
    }
}
