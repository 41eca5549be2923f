// Goaudit audits a log in a directory the straightforward way, on one thread, with golang.org/x/mod alone: signed head,
// every record by the rules, no module version twice, every tile as rebuilt from the records, the root. It is what
// quipu-verify's audit is compared with; it remembers nothing and holds all hashes and keys in memory.
//
//	goaudit VKEY DIR
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height, width = 8, 256

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: goaudit VKEY DIR")
	}
	tree, err := audit(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("good: %d records, root %s\n", tree.N, tree.Hash)
}

func audit(vkey, dir string) (tlog.Tree, error) {
	tree, err := head(vkey, dir)
	if err != nil {
		return tree, err
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	seen := make(map[string]int64)
	for id := int64(0); id < tree.N; {
		tile := tlog.Tile{H: height, L: -1, N: id / width, W: int(min(width, tree.N-id))}
		texts, err := records(dir, tile)
		if err != nil {
			return tree, err
		}
		for _, text := range texts {
			key, err := check(text)
			if err != nil {
				return tree, fmt.Errorf("record %d: %v", id, err)
			}
			if first, ok := seen[key]; ok {
				return tree, fmt.Errorf("record %d: %s is already in record %d", id, key, first)
			}
			seen[key] = id
			hashes, err := tlog.StoredHashes(id, text, reader)
			if err != nil {
				return tree, err
			}
			stored = append(stored, hashes...)
			id++
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return tree, err
	}
	if root != tree.Hash {
		return tree, fmt.Errorf("root is %s, signed is %s", root, tree.Hash)
	}
	for _, tile := range tlog.NewTiles(height, 0, tree.N) {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return tree, err
		}
		got, err := os.ReadFile(filepath.Join(dir, tile.Path()))
		if err != nil {
			return tree, err
		}
		if !bytes.Equal(got, want) {
			return tree, fmt.Errorf("%s is not what was signed", tile.Path())
		}
	}
	return tree, nil
}

func head(vkey, dir string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	message, err := os.ReadFile(filepath.Join(dir, "latest"))
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.ParseTree([]byte(opened.Text))
}

func records(dir string, tile tlog.Tile) ([][]byte, error) {
	body, err := os.ReadFile(filepath.Join(dir, tile.Path()))
	if err != nil {
		return nil, err
	}
	texts := bytes.SplitAfter(bytes.TrimSuffix(body, []byte("\n")), []byte("\n\n"))
	if len(texts) != tile.W {
		return nil, fmt.Errorf("%s has %d records", tile.Path(), len(texts))
	}
	for i := range texts {
		texts[i] = append(bytes.TrimRight(texts[i], "\n"), '\n')
	}
	return texts, nil
}

// check judges a record and returns what must be there once.
func check(text []byte) (string, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 3 || lines[2] != "" {
		return "", fmt.Errorf("want two lines")
	}
	first, second := strings.Split(lines[0], " "), strings.Split(lines[1], " ")
	if len(first) != 3 || len(second) != 3 {
		return "", fmt.Errorf("want three fields in a line")
	}
	if second[0] != first[0] || second[1] != first[1]+"/go.mod" {
		return "", fmt.Errorf("the lines are about different things")
	}
	if err := module.Check(first[0], first[1]); err != nil {
		return "", err
	}
	for _, hash := range []string{first[2], second[2]} {
		digits, ok := strings.CutPrefix(hash, "h1:")
		sum, err := base64.StdEncoding.Strict().DecodeString(digits)
		if !ok || err != nil || len(sum) != 32 {
			return "", fmt.Errorf("malformed hash %q", hash)
		}
	}
	return first[0] + "@" + first[1], nil
}
