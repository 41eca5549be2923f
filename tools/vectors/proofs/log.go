package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const keyName = "sum.example.test"

var skey, vkey = makeKey()

func makeKey() (string, string) {
	seed := bytes.Repeat([]byte{0x42}, 32)
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	vkey := must(note.NewEd25519VerifierKey(keyName, public))
	hash := strings.Split(vkey, "+")[1]
	private := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	return "PRIVATE+KEY+" + keyName + "+" + hash + "+" + private, vkey
}

// A testLog is a log in memory, as x/mod stores one.
type testLog struct {
	records []string
	hashes  storedHashes
}

type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, index := range indexes {
		out = append(out, s[index])
	}
	return out, nil
}

func filler(i int64, salt string) string {
	sum := func(kind string) string {
		hash := sha256.Sum256(fmt.Appendf(nil, "%s%d", kind, i))
		return base64.StdEncoding.EncodeToString(hash[:])
	}
	m := fmt.Sprintf("filler.test/m%d v1.0.0", i)
	return fmt.Sprintf("%s h1:%s\n%s/go.mod h1:%s\n", m, sum("z"+salt), m, sum("m"+salt))
}

// newLog is the log of size filler records, some of which are others.
func newLog(size int64, others map[int64]string) *testLog {
	l := new(testLog)
	for i := range size {
		text, ok := others[i]
		if !ok {
			text = filler(i, "")
		}
		l.hashes = append(l.hashes, must(tlog.StoredHashes(i, []byte(text), l.hashes))...)
		l.records = append(l.records, text)
	}
	return l
}

func (l *testLog) root(size int64) tlog.Hash { return must(tlog.TreeHash(size, l.hashes)) }

func (l *testLog) leaf(i int64) tlog.Hash { return tlog.RecordHash([]byte(l.records[i])) }

// head is the signed tree of the first size records.
func (l *testLog) head(size int64) string {
	return sign(string(tlog.FormatTree(tlog.Tree{N: size, Hash: l.root(size)})))
}

func sign(text string) string {
	signer := must(note.NewSigner(skey))
	return string(must(note.Sign(&note.Note{Text: text}, signer)))
}

// path is the audit path of a record, checked by the reference.
func (l *testLog) path(size, i int64) []tlog.Hash {
	proof := must(tlog.ProveRecord(size, i, l.hashes))
	if err := tlog.CheckRecord(proof, size, l.root(size), i, l.leaf(i)); err != nil {
		fail("%v", err)
	}
	return proof
}

// subtree is the hash of the complete subtree at level and index, and what stands beside its way up: the upper end of
// the audit path of its first record.
func (l *testLog) subtree(size int64, level int, index int64) (tlog.Hash, []tlog.Hash) {
	hash := l.hashes[tlog.StoredHashIndex(level, index)]
	return hash, l.path(size, index<<level)[level:]
}

// tile is the body of a tile, from the reference.
func (l *testLog) tile(path string) []byte {
	t := must(tlog.ParseTilePath(path))
	return must(tlog.ReadTileData(t, l.hashes))
}
