//! Letters, printable characters and simple case folding as Go knows them (Unicode 15.0.0).

mod tables;

/// Whether `c` is a letter, Unicode category `L*`.
pub(crate) fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    in_ranges(tables::LETTERS, c)
}

/// Whether `c` leaves a mark on paper (or is the ASCII space): not a control, not a space, assigned.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    in_ranges(tables::PRINTABLE, c)
}

fn in_ranges(ranges: &[(u32, u32)], c: char) -> bool {
    let code = u32::from(c);
    let after = ranges.partition_point(|&(first, _)| first <= code);
    after.checked_sub(1).and_then(|i| ranges.get(i)).is_some_and(|&(_, last)| code <= last)
}

/// `text` with every character replaced by the smallest member of its simple-folding orbit, and
/// A–Z by a–z: two strings are equal but for case exactly if their folds are equal.
///
/// This is not lower-casing: `K`, `k` and U+212A (Kelvin sign) fold together, `ß` and `ss` do not.
pub(crate) fn fold(text: &str) -> String {
    text.chars().map(fold_char).collect()
}

fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let code = u32::from(c);
    let after = tables::FOLDS.partition_point(|&(first, ..)| first <= code);
    let run = after.checked_sub(1).and_then(|i| tables::FOLDS.get(i));
    match run {
        Some(&(first, last, stride, delta)) if code <= last && (code - first).is_multiple_of(stride) => {
            char::from_u32(code - delta).map_or(c, |smallest| smallest.to_ascii_lowercase())
        }
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use quipu_oracle::{Answer, Args, Comparison};

    use super::{fold, fold_char, is_letter, is_printable, tables};

    #[test]
    fn tables_are_the_pinned_version() {
        assert_eq!(tables::VERSION, "15.0.0");
    }

    #[test]
    fn folds_orbits_together() {
        assert_eq!(fold("K\u{212A}k"), "kkk");
        assert_eq!(fold("Ss\u{17F}"), "sss");
        assert_eq!(fold("\u{1E9E}\u{DF}"), "\u{DF}\u{DF}");
        assert_ne!(fold("ß"), fold("ss"));
        // Dotted and dotless i have orbits of their own.
        assert_eq!(fold("\u{130}\u{131}iI"), "\u{130}\u{131}ii");
        assert_eq!(fold("Σςσ"), "ΣΣΣ");
    }

    #[test]
    fn letters_are_category_l_only() {
        for c in ['é', '世', 'ª', 'ʰ', 'א', '\u{10400}'] {
            assert!(is_letter(c), "{c:?}");
        }
        // A combining mark, a digit, a letter number, an emoji, a Unicode 15.1 ideograph.
        for c in ['\u{301}', '١', 'Ⅷ', '😀', '\u{2EBF0}'] {
            assert!(!is_letter(c), "{c:?}");
        }
    }

    /// Every code point, against Go itself; `tools/vectors/README.md` says how to run this.
    #[test]
    fn tables_are_those_of_go() {
        const STEP: u32 = 1 << 12;
        let ranges = |class: &str| -> Vec<Args> {
            let bounds = (0..0x11_0000).step_by(STEP as usize).map(|first| [first, first + STEP]);
            let class: Args = class.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
            bounds.map(|b| [class.clone(), b.map(|n| n.to_string().into_bytes()).to_vec()].concat()).collect()
        };
        let chars = |args: &Args| -> Vec<Option<char>> {
            let first: u32 = String::from_utf8_lossy(&args[args.len() - 2]).parse().unwrap();
            (first..first + STEP).map(char::from_u32).collect()
        };
        for (class, is_in) in [("letter", is_letter as fn(char) -> bool), ("print", is_printable)] {
            Comparison::of("rune.is").over(ranges(class), |args| {
                let digit = |c: Option<char>| if c.is_some_and(is_in) { '1' } else { '0' };
                Answer::text(chars(args).into_iter().map(digit).collect::<String>())
            });
        }
        Comparison::of("rune.fold").over(ranges(""), |args| {
            let first: u32 = String::from_utf8_lossy(&args[0]).parse().unwrap();
            let folded = (first..).zip(chars(args)).map(|(code, c)| c.map_or(code, |c| fold_char(c).into()));
            Answer::text(folded.map(|code| format!("{code}\n")).collect::<String>())
        });
    }
}
