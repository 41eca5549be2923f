package main

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// section is a heading and its content.
func section(heading string, lines ...string) string {
	var b strings.Builder
	b.WriteString(heading + "\n")
	for _, line := range lines {
		b.WriteString("\t" + line + "\n")
	}
	return b.String()
}

func textSection(heading, text string) string {
	return section(heading, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
}

func hashSection(heading string, hashes []tlog.Hash) string {
	return section(heading, hashLines(hashes)...)
}

func hashLines(hashes []tlog.Hash) []string {
	var lines []string
	for _, hash := range hashes {
		lines = append(lines, hash.String())
	}
	return lines
}

// split is the number of leaves in the left subtree of one with n.
func split(n int64) int64 {
	k := int64(1)
	for k*2 < n {
		k *= 2
	}
	return k
}

// mth is the hash of the subtree over leaves lo to hi, by its definition.
func (l *testLog) mth(lo, hi int64) tlog.Hash {
	if hi-lo == 1 {
		return l.leaf(lo)
	}
	k := lo + split(hi-lo)
	return tlog.NodeHash(l.mth(lo, k), l.mth(k, hi))
}

// outside appends the hashes of the largest subtrees without any of the records.
func (l *testLog) outside(proof []tlog.Hash, lo, hi int64, records []int64) []tlog.Hash {
	if hi-lo == 1 {
		return proof
	}
	k := lo + split(hi-lo)
	at, _ := slices.BinarySearch(records, k)
	left, right := records[:at], records[at:]
	if len(left) > 0 {
		proof = l.outside(proof, lo, k, left)
	}
	if len(right) > 0 {
		proof = l.outside(proof, k, hi, right)
	}
	if len(left) == 0 {
		proof = append(proof, l.mth(lo, k))
	}
	if len(right) == 0 {
		proof = append(proof, l.mth(k, hi))
	}
	return proof
}

// rootOf computes the root from records and proof.
func rootOf(lo, hi int64, records []int64, leaves map[int64]tlog.Hash, proof *[]tlog.Hash) (tlog.Hash, error) {
	if hi-lo == 1 {
		return leaves[lo], nil
	}
	k := lo + split(hi-lo)
	at, _ := slices.BinarySearch(records, k)
	sides := [2][]int64{records[:at], records[at:]}
	bounds := [3]int64{lo, k, hi}
	var hashes [2]tlog.Hash
	for i, side := range sides {
		if len(side) > 0 {
			hash, err := rootOf(bounds[i], bounds[i+1], side, leaves, proof)
			if err != nil {
				return hash, err
			}
			hashes[i] = hash
		}
	}
	for i, side := range sides {
		if len(side) == 0 {
			if len(*proof) == 0 {
				return tlog.Hash{}, fmt.Errorf("the proof is too short")
			}
			hashes[i], *proof = (*proof)[0], (*proof)[1:]
		}
	}
	return tlog.NodeHash(hashes[0], hashes[1]), nil
}

// wanted says for which lines of record i a proof is made.
func wanted(i int64) string {
	switch {
	case i%4 == 0:
		return "both"
	case i%2 == 0:
		return "zip"
	}
	return "go.mod"
}

func (l *testLog) goSum(size int64, records []int64) string {
	text := "quipu proof v1: go.sum\n" + textSection("head", l.head(size))
	for _, i := range records {
		lines := strings.Split(strings.TrimSuffix(l.records[i], "\n"), "\n")
		text += section("record", append([]string{fmt.Sprintf("%d %s", i, wanted(i))}, lines...)...)
	}
	return text + hashSection("proof", l.outside(nil, 0, size, records))
}

func (l *testLog) tlogProof(size, i int64, extra bool) string {
	lines := []string{"c2sp.org/tlog-proof@v1"}
	if extra {
		lines = append(lines, "extra "+base64.StdEncoding.EncodeToString([]byte(l.records[i])))
	}
	lines = append(lines, fmt.Sprintf("index %d", i))
	lines = append(lines, hashLines(l.path(size, i))...)
	return strings.Join(lines, "\n") + "\n\n" + l.head(size)
}

// checkProof says what a proof file proves. What it takes may be more than the one spelling.
func checkProof(vkey, text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "c2sp.org/tlog-proof@v1\n"); ok {
		return checkTlogProof(vkey, rest)
	}
	rest, ok := strings.CutPrefix(text, "quipu proof v1: go.sum\nhead\n")
	if !ok || !strings.HasSuffix(rest, "\n") {
		return "", fmt.Errorf("no proof")
	}
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	content := func() (out []string) {
		for len(lines) > 0 && strings.HasPrefix(lines[0], "\t") {
			out, lines = append(out, lines[0][1:]), lines[1:]
		}
		return out
	}
	tree, err := openTree(vkey, strings.Join(content(), "\n")+"\n")
	if err != nil {
		return "", err
	}
	var records []int64
	leaves := make(map[int64]tlog.Hash)
	for len(lines) > 0 && lines[0] == "record" {
		lines = lines[1:]
		record := content()
		var index int64
		var word string
		if len(record) != 3 {
			return "", fmt.Errorf("a record of %d lines", len(record)-1)
		}
		if _, err := fmt.Sscanf(record[0], "%d %s", &index, &word); err != nil {
			return "", err
		}
		if len(records) > 0 && records[len(records)-1] >= index || index < 0 || index >= tree.N {
			return "", fmt.Errorf("record %d is out of order or range", index)
		}
		if !slices.Contains([]string{"both", "zip", "go.mod"}, word) {
			return "", fmt.Errorf("lines %q", word)
		}
		if !strings.HasPrefix(record[2], strings.Join(strings.Split(record[1], " ")[:2], " ")+"/go.mod ") {
			return "", fmt.Errorf("record %d is no record", index)
		}
		records = append(records, index)
		leaves[index] = tlog.RecordHash([]byte(record[1] + "\n" + record[2] + "\n"))
	}
	if len(records) == 0 || len(lines) == 0 || lines[0] != "proof" {
		return "", fmt.Errorf("no records, or no proof")
	}
	lines = lines[1:]
	proof, err := parseHashes(content())
	if err != nil || len(lines) > 0 {
		return "", fmt.Errorf("the proof is malformed")
	}
	root, err := rootOf(0, tree.N, records, leaves, &proof)
	if err != nil {
		return "", err
	}
	if root != tree.Hash || len(proof) > 0 {
		return "", fmt.Errorf("the records are not shown to be in the tree")
	}
	return fmt.Sprintf("%d records in the tree of %d", len(records), tree.N), nil
}

func checkTlogProof(vkey, rest string) (string, error) {
	head, checkpoint, _ := strings.Cut(rest, "\n\n")
	lines := strings.Split(head, "\n")
	data, ok := strings.CutPrefix(lines[0], "extra ")
	text, err := base64.StdEncoding.Strict().DecodeString(data)
	if !ok || err != nil || len(lines) < 2 {
		return "", fmt.Errorf("no record in it")
	}
	var index int64
	if _, err := fmt.Sscanf(lines[1], "index %d", &index); err != nil || lines[1] != fmt.Sprintf("index %d", index) {
		return "", fmt.Errorf("no index")
	}
	tree, err := openTree(vkey, checkpoint)
	if err != nil {
		return "", err
	}
	proof, err := parseHashes(lines[2:])
	if err != nil {
		return "", err
	}
	if index < 0 || index >= tree.N {
		return "", fmt.Errorf("record %d in a tree of %d", index, tree.N)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(text)); err != nil {
		return "", err
	}
	return fmt.Sprintf("record %d in the tree of %d", index, tree.N), nil
}

func openTree(vkey, msg string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	n, err := note.Open([]byte(msg), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.ParseTree([]byte(n.Text))
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}
