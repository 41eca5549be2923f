package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// keyName is the name of every benchmark's database. Its key is made of a seed of zero
// bytes: it protects nothing.
const keyName = "bench.example"

var skey, vkey = makeKey()

// fillTestServer returns x/mod's own log with the first count generated records.
func fillTestServer(count int64) (*sumdb.TestServer, error) {
	var next []byte
	server := sumdb.NewTestServer(skey, func(_, _ string) ([]byte, error) {
		if next == nil {
			return nil, fs.ErrNotExist
		}
		return next, nil
	})
	for n := range count {
		var m module.Version
		m, next = record(n)
		if id, err := server.Lookup(context.Background(), m); err != nil || id != n {
			return nil, fmt.Errorf("record %d got the number %d: %v", n, id, err)
		}
	}
	next = nil
	return server, nil
}

// A fixedLog is a log that is complete before it is served and never changes, so that
// nothing in it needs a lock.
type fixedLog struct {
	signed  []byte
	records [][]byte
	ids     map[module.Version]int64
	hashes  storedHashes
}

type storedHashes []tlog.Hash

// generate builds the lean log of the first count generated records.
func generate(count int64) (*fixedLog, error) {
	l := &fixedLog{
		records: make([][]byte, 0, count),
		ids:     make(map[module.Version]int64, count),
		hashes:  make(storedHashes, 0, tlog.StoredHashCount(count)),
	}
	for n := range count {
		m, text := record(n)
		more, err := tlog.StoredHashes(n, text, l.hashes)
		if err != nil {
			return nil, err
		}
		l.hashes = append(l.hashes, more...)
		l.records = append(l.records, text)
		l.ids[m] = n
	}
	signed, err := l.sign()
	if err != nil {
		return nil, err
	}
	l.signed = signed
	return l, nil
}

// record makes the n'th record: about 190 bytes, a function of n alone.
//
//	path     github.com/bench-AAA/module-NNNNNNN   A = n mod 1000, N = n
//	version  v1.B.C                                B = n mod 10, C = n mod 7
//	hashes   SHA-256 of "zip N" and of "mod N"
func record(n int64) (module.Version, []byte) {
	m := module.Version{
		Path:    fmt.Sprintf("github.com/bench-%03d/module-%07d", n%1000, n),
		Version: fmt.Sprintf("v1.%d.%d", n%10, n%7),
	}
	text := fmt.Appendf(nil, "%s %s %s\n%s %s/go.mod %s\n", m.Path, m.Version, h1("zip", n), m.Path, m.Version, h1("mod", n))
	return m, text
}

func h1(kind string, n int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, n))
	return "h1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// makeKey returns the signer key and the verifier key.
func makeKey() (skey, vkey string) {
	seed := make([]byte, ed25519.SeedSize)
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(keyName, public)
	if err != nil {
		panic(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		panic(err)
	}
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", keyName, v.KeyHash(), secret), vkey
}

func (l *fixedLog) sign() ([]byte, error) {
	size := int64(len(l.records))
	root, err := tlog.TreeHash(size, l.hashes)
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, err
	}
	text := tlog.FormatTree(tlog.Tree{N: size, Hash: root})
	return note.Sign(&note.Note{Text: string(text)}, signer)
}

// Signed implements sumdb.ServerOps.
func (l *fixedLog) Signed(context.Context) ([]byte, error) {
	return l.signed, nil
}

// ReadRecords implements sumdb.ServerOps.
func (l *fixedLog) ReadRecords(_ context.Context, id, n int64) ([][]byte, error) {
	if id < 0 || n < 0 || id > int64(len(l.records))-n {
		return nil, fs.ErrNotExist
	}
	return l.records[id : id+n], nil
}

// Lookup implements sumdb.ServerOps.
func (l *fixedLog) Lookup(_ context.Context, m module.Version) (int64, error) {
	id, ok := l.ids[m]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return id, nil
}

// ReadTileData implements sumdb.ServerOps.
func (l *fixedLog) ReadTileData(_ context.Context, t tlog.Tile) ([]byte, error) {
	return tlog.ReadTileData(t, l.hashes)
}

// ReadHashes implements tlog.HashReader.
func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(s)) {
			return nil, fs.ErrNotExist
		}
		list[i] = s[x]
	}
	return list, nil
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
