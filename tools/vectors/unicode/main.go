// Command unicode writes the Rust tables that module paths, zips and go.mod files need: which
// code points are letters, which are printable and how they fold, as Go's unicode package has them.
//
//	go run ./unicode > ../../crates/module/src/unicode/tables.rs
//
// Go decides what a module zip may contain, so its tables are the reference,
// not the newest Unicode version.
package main

import (
	"bufio"
	"fmt"
	"os"
	"unicode"
)

// run is a stretch of code points first, first+stride, …, last that share a delta.
type run struct {
	first, last, stride rune
	delta               int32
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprintf(out, "//! Unicode %s tables, written by `go run ./unicode` in `tools/vectors`; do not edit.\n\n", unicode.Version)
	fmt.Fprintf(out, "/// The Unicode version of these tables.\n")
	fmt.Fprintf(out, "#[cfg(test)]\npub(super) const VERSION: &str = %q;\n\n", unicode.Version)
	writeRanges(out, "LETTERS", "the letters (categories `L*`)", unicode.IsLetter)
	fmt.Fprintln(out)
	writeRanges(out, "PRINTABLE", "what is printable (categories `L*`, `M*`, `N*`, `P*`, `S*`)", unicode.IsPrint)
	fmt.Fprintln(out)
	writeFolds(out)
}

// writeRanges prints the inclusive ranges of the non-ASCII code points that have a property.
func writeRanges(out *bufio.Writer, name, what string, has func(rune) bool) {
	fmt.Fprintf(out, "/// Inclusive ranges of %s above U+007F, ascending.\n", what)
	fmt.Fprintln(out, "#[rustfmt::skip]")
	fmt.Fprintf(out, "pub(super) static %s: &[(u32, u32)] = &[\n", name)
	column := 0
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !has(r) {
			continue
		}
		first := r
		for r < unicode.MaxRune && has(r+1) {
			r++
		}
		cell(out, &column, 6, fmt.Sprintf("(0x%X, 0x%X),", first, r))
	}
	finish(out, column)
}

// writeFolds prints, as runs, every code point whose fold orbit has a smaller
// member, and how far below it the smallest member lies.
func writeFolds(out *bufio.Writer) {
	fmt.Fprintln(out, "/// Runs `(first, last, stride, delta)` of code points above U+007F that are not the smallest of their")
	fmt.Fprintln(out, "/// simple-folding orbit; the smallest lies `delta` below.")
	fmt.Fprintln(out, "#[rustfmt::skip]")
	fmt.Fprintln(out, "pub(super) static FOLDS: &[(u32, u32, u32, u32)] = &[")
	var runs []run
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		low := smallest(r)
		if low == r {
			continue
		}
		runs = extend(runs, r, int32(r-low))
	}
	column := 0
	for _, x := range runs {
		cell(out, &column, 4, fmt.Sprintf("(0x%X, 0x%X, %d, %d),", x.first, x.last, x.stride, x.delta))
	}
	finish(out, column)
}

// smallest is the least member of the simple-folding orbit of r.
func smallest(r rune) rune {
	low := r
	for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
		low = min(low, x)
	}
	return low
}

// extend adds r to the last run if it continues it with stride 1 or 2.
func extend(runs []run, r rune, delta int32) []run {
	if n := len(runs); n > 0 && runs[n-1].delta == delta {
		last := &runs[n-1]
		step := r - last.last
		if step <= 2 && (last.first == last.last || step == last.stride) {
			last.last, last.stride = r, step
			return runs
		}
	}
	return append(runs, run{r, r, 1, delta})
}

func cell(out *bufio.Writer, column *int, width int, text string) {
	if *column == 0 {
		fmt.Fprint(out, "    ")
	} else {
		fmt.Fprint(out, " ")
	}
	fmt.Fprint(out, text)
	if *column++; *column == width {
		fmt.Fprintln(out)
		*column = 0
	}
}

func finish(out *bufio.Writer, column int) {
	if column != 0 {
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, "];")
}
