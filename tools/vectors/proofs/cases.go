package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

func goSumCases() (good, bad []proofCase) {
	log := newLog(1000, nil)
	for _, c := range []struct {
		size    int64
		records []int64
	}{
		{1, []int64{0}},
		{2, []int64{1}},
		{3, []int64{0, 2}},
		{7, []int64{0, 1, 2, 3, 4, 5, 6}},
		{8, []int64{5}},
		{100, []int64{0, 31, 32, 63, 64, 99}},
		{257, []int64{255, 256}},
		{1000, []int64{3, 4, 5, 6, 250, 511, 512, 767, 768, 998, 999}},
	} {
		var lines []string
		for _, i := range c.records {
			both := strings.Split(strings.TrimSuffix(log.records[i], "\n"), "\n")
			if wanted(i) != "go.mod" {
				lines = append(lines, both[0])
			}
			if wanted(i) != "zip" {
				lines = append(lines, both[1])
			}
		}
		name := fmt.Sprintf("%d of %d records", len(c.records), c.size)
		good = append(good, proofCase{name, c.size, c.records, lines, log.goSum(c.size, c.records)})
	}
	text := log.goSum(100, []int64{0, 31, 32, 63})
	head, rest, _ := strings.Cut(text, "record\n")
	hashes := strings.SplitAfter(text[strings.Index(text, "\nproof\n")+7:], "\n")
	without := func(i int) string { return strings.Replace(text, hashes[i], "", 1) }
	other := newLog(100, map[int64]string{31: filler(31, "x")})
	for _, c := range [][2]string{
		{"nothing", ""},
		{"another version", strings.Replace(text, " v1:", " v2:", 1)},
		{"a signature of another tree", strings.Replace(text, "\n\t100\n", "\n\t101\n", 1)},
		{"another root", strings.Replace(text, log.root(100).String(), log.root(99).String(), 1)},
		{"the head of another log", strings.Replace(text, textSection("head", log.head(100)), textSection("head", other.head(100)), 1)},
		{"the records of another log", strings.Replace(text, log.records[31][:70], other.records[31][:70], 1)},
		{"another place", strings.Replace(text, "\t31 go.mod\n", "\t30 go.mod\n", 1)},
		{"a place twice", strings.Replace(text, "\t32 both\n", "\t31 both\n", 1)},
		{"a place beyond the tree", strings.Replace(text, "\t63 go.mod\n", "\t100 go.mod\n", 1)},
		{"a place below zero", strings.Replace(text, "\t0 both\n", "\t-1 both\n", 1)},
		{"no such lines", strings.Replace(text, "\t0 both\n", "\t0 none\n", 1)},
		{"two records exchanged", strings.NewReplacer("\t31 go.mod\n", "\t32 both\n", "\t32 both\n", "\t31 go.mod\n").Replace(text)},
		{"no records", head + text[strings.Index(text, "\nproof\n")+1:]},
		{"no proof", text[:strings.Index(text, "\nproof\n")+1]},
		{"the first hash is missing", without(0)},
		{"the last hash is missing", without(len(hashes) - 2)},
		{"a hash more", text + hashes[0]},
		{"two hashes exchanged", strings.NewReplacer(hashes[0], hashes[1], hashes[1], hashes[0]).Replace(text)},
		{"a record less", head + rest[strings.Index(rest, "record\n"):]},
		{"a record of one line", strings.Replace(text, log.records[31][strings.Index(log.records[31], "\n")+1:], "", 1)},
		{"another heading", text + "note\n"},
	} {
		bad = append(bad, proofCase{Name: c[0], Text: c[1]})
	}
	return good, bad
}

func tlogProofCases() (good, bad []proofCase) {
	log := newLog(1000, nil)
	for _, c := range [][2]int64{{1, 0}, {2, 0}, {7, 6}, {100, 31}, {257, 256}, {1000, 5}} {
		name := fmt.Sprintf("record %d of %d", c[1], c[0])
		lines := strings.Split(strings.TrimSuffix(log.records[c[1]], "\n"), "\n")
		good = append(good, proofCase{name, c[0], c[1:], lines, log.tlogProof(c[0], c[1], true)})
	}
	text := log.tlogProof(100, 31, true)
	hashes := strings.SplitAfter(text[strings.Index(text, "index 31\n")+9:], "\n")
	for _, c := range [][2]string{
		{"another version", strings.Replace(text, "@v1", "@v2", 1)},
		{"another index", strings.Replace(text, "index 31", "index 30", 1)},
		{"an index with a zero before it", strings.Replace(text, "index 31", "index 031", 1)},
		{"an index beyond the tree", strings.Replace(text, "index 31", "index 100", 1)},
		{"another record", strings.Replace(text, text[23:200], log.tlogProof(100, 30, true)[23:200], 1)},
		{"no record", log.tlogProof(100, 31, false)},
		{"a hash less", strings.Replace(text, hashes[0], "", 1)},
		{"a hash more", strings.Replace(text, hashes[0], hashes[0]+hashes[0], 1)},
		{"two hashes exchanged", strings.NewReplacer(hashes[0], hashes[1], hashes[1], hashes[0]).Replace(text)},
		{"a signature of another tree", strings.Replace(text, "\n100\n", "\n101\n", 1)},
		{"no checkpoint", text[:strings.Index(text, "\n\n")+2]},
	} {
		bad = append(bad, proofCase{Name: c[0], Text: c[1]})
	}
	return good, bad
}

func evidence(kind string, sections ...string) string {
	return "quipu evidence v1: " + kind + "\n" + section("key", vkey) + strings.Join(sections, "")
}

// leaf is a record with its audit path.
func (l *testLog) leafSections(size, i int64) string {
	return section("index", fmt.Sprint(i)) + textSection("text", l.records[i]) + hashSection("proof", l.path(size, i))
}

// signed is a node with what stands beside its way up.
func (l *testLog) signed(size int64, level int, index int64) (node, signed string) {
	hash, path := l.subtree(size, level, index)
	return section("node", fmt.Sprintf("%d %d", level, index)), hashSection("signed", append([]tlog.Hash{hash}, path...))
}

func entries(body []byte) []string {
	var lines []string
	for entry := range slices.Chunk(body, tlog.HashSize) {
		lines = append(lines, tlog.Hash(entry).String())
	}
	return lines
}

func evidenceCases() (good, bad []evidenceCase) {
	log, changed := newLog(700, nil), newLog(700, map[int64]string{31: filler(31, "x"), 600: filler(31, "y")})
	broken := newLog(700, map[int64]string{31: "filler.test/m31 v1.0.0 h1:x\n"})
	head := textSection("head", log.head(700))
	fork := func(a *testLog, size int64, b *testLog) string {
		proof := []tlog.Hash{b.root(size)}
		if size < 700 {
			proof = append(proof, must(tlog.ProveTree(700, size, b.hashes))...)
		}
		return evidence("fork", textSection("older", a.head(size)), textSection("newer", b.head(700)), hashSection("proof", proof))
	}
	record := func(l *testLog, i int64) string {
		return evidence("record", textSection("head", l.head(700)), l.leafSections(700, i))
	}
	duplicate := func(l *testLog, i, j int64) string {
		return evidence("duplicate", textSection("head", l.head(700)), l.leafSections(700, i), l.leafSections(700, j))
	}
	change := func(size int64, b *testLog, i, j int64) string {
		return evidence("changed", textSection("head", log.head(size)), log.leafSections(size, i),
			textSection("head", b.head(700)), b.leafSections(700, j))
	}
	tile := func(path string, served []string, level int, index int64) string {
		node, signed := log.signed(700, level, index)
		return evidence("tile", head, section("tile", path), node, section("served", served...), signed)
	}
	flipped := func(path string, at int) []string {
		body := log.tile(path)
		body[at] ^= 1
		return entries(body)
	}
	tiles := func(second []string) string {
		return evidence("tiles", head, section("tile", append([]string{"tile/8/1/000.p/2"}, entries(log.tile("tile/8/1/000.p/2"))...)...),
			section("tile", append([]string{"tile/8/0/002.p/188"}, second...)...))
	}
	answer := func(text string) string {
		node, signed := log.signed(700, 0, 31)
		return evidence("answer", head, section("lookup", "lookup/filler.test/m31@v1.0.0"), node, textSection("served", text), signed)
	}
	signature := func(msg string) string { return evidence("signature", textSection("note", msg)) }
	lines := func(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }
	for _, c := range [][3]string{
		{"two trees of one size", "fork", fork(log, 700, changed)},
		{"a larger tree that does not begin with the smaller", "fork", fork(log, 300, changed)},
		{"a record of one line", "record", record(broken, 31)},
		{"two records for one version", "duplicate", duplicate(changed, 31, 600)},
		{"a record that changed while the log grew", "changed", change(500, changed, 31, 31)},
		{"a full tile with a wrong entry", "tile", tile("tile/8/0/001", flipped("tile/8/0/001", 3000), 8, 1)},
		{"a partial tile with a wrong entry", "tile", tile("tile/8/0/002.p/188", flipped("tile/8/0/002.p/188", 64), 0, 514)},
		{"a data tile with another record", "tile", tile("tile/8/data/000", lines(filler(31, "x")), 0, 31)},
		{"tiles that do not add up", "tiles", tiles(flipped("tile/8/0/002.p/188", 64))},
		{"an answer with another record", "answer", answer(filler(31, "x"))},
		{"a signature of another tree", "signature", signature(strings.Replace(log.head(700), "\n700\n", "\n701\n", 1))},
	} {
		good = append(good, evidenceCase{c[0], c[1], c[2]})
	}
	for _, c := range [][2]string{
		{"a larger tree that begins with the smaller", fork(log, 300, log)},
		{"twice one tree", fork(log, 700, log)},
		{"a good record", record(log, 31)},
		{"two records for two versions", duplicate(changed, 31, 32)},
		{"two records, the second first", duplicate(changed, 600, 31)},
		{"one record twice", duplicate(changed, 31, 31)},
		{"a record that did not change", change(500, changed, 32, 32)},
		{"two records at two places", change(500, changed, 31, 32)},
		{"a tile as it should be", tile("tile/8/0/001", entries(log.tile("tile/8/0/001")), 8, 1)},
		{"a wrong entry elsewhere", tile("tile/8/0/001", flipped("tile/8/0/001", 3000), 0, 256)},
		{"a node that the tile does not have", tile("tile/8/0/001", flipped("tile/8/0/001", 3000), 8, 0)},
		{"a short tile", tile("tile/8/0/001", flipped("tile/8/0/001", 3000)[1:], 8, 1)},
		{"a data tile as it should be", tile("tile/8/data/000", lines(filler(31, "")), 0, 31)},
		{"tiles that add up", tiles(entries(log.tile("tile/8/0/002.p/188")))},
		{"an answer as it should be", answer(filler(31, ""))},
		{"a good signature", signature(log.head(700))},
		{"a signature of somebody else", signature(strings.Replace(log.head(700), "— sum.", "— mus.", 1))},
		{"a head with a wrong signature", strings.Replace(record(broken, 31), "\n\t700\n", "\n\t701\n", 1)},
		{"another index", strings.Replace(record(broken, 31), "\n\t31\n", "\n\t30\n", 1)},
		{"a number with a zero before it", strings.Replace(record(broken, 31), "\n\t31\n", "\n\t031\n", 1)},
		{"another record", strings.Replace(record(broken, 31), "h1:x", "h1:y", 1)},
		{"of no known kind", strings.Replace(record(broken, 31), "v1: record", "v1: spoon", 1)},
		{"of another kind", strings.Replace(record(broken, 31), "v1: record", "v1: duplicate", 1)},
		{"of another version", strings.Replace(record(broken, 31), "v1: record", "v2: record", 1)},
		{"a blank line at the end", record(broken, 31) + "\n"},
		{"a section more", record(broken, 31) + "proof\n"},
	} {
		bad = append(bad, evidenceCase{Name: c[0], Text: c[1]})
	}
	return good, bad
}
