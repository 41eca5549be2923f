package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

func init() {
	register(map[string]op{
		"tlog.leaf":          tlogLeaf,
		"tlog.node":          tlogNode,
		"tlog.hash":          tlogHash,
		"tlog.index":         tlogIndex,
		"tlog.split":         tlogSplit,
		"tlog.stored":        tlogStored,
		"tlog.root":          tlogRoot,
		"tlog.prove-record":  tlogProveRecord,
		"tlog.check-record":  tlogCheckRecord,
		"tlog.prove-tree":    tlogProveTree,
		"tlog.check-tree":    tlogCheckTree,
		"tlog.tile-parse":    tlogTileParse,
		"tlog.tile-format":   tlogTileFormat,
		"tlog.tile-at":       tlogTileAt,
		"tlog.tiles-new":     tlogNewTiles,
		"tlog.tile-data":     tlogTileData,
		"tlog.tile-hash":     tlogHashFromTile,
		"tlog.read":          tlogRead,
		"tlog.record-parse":  tlogRecordParse,
		"tlog.record-format": tlogRecordFormat,
		"tlog.data-tile":     tlogDataTile,
		"tlog.tree-parse":    tlogTreeParse,
		"tlog.tree-format":   tlogTreeFormat,
	})
}

// tlogLeaf: data → leaf hash.
func tlogLeaf(args []string) ([]string, error) {
	need(args, 1)
	return []string{raw(tlog.RecordHash([]byte(args[0])))}, nil
}

// tlogNode: left, right → node hash.
func tlogNode(args []string) ([]string, error) {
	need(args, 2)
	return []string{raw(tlog.NodeHash(hash(args[0]), hash(args[1])))}, nil
}

// tlogHash: text → hash, and the hash as text again.
func tlogHash(args []string) ([]string, error) {
	need(args, 1)
	h, err := tlog.ParseHash(args[0])
	return []string{raw(h), h.String()}, err
}

// tlogIndex: level, n → stored hash index, and the count of hashes stored for n records.
func tlogIndex(args []string) ([]string, error) {
	need(args, 2)
	level, n := int(integer(args[0])), integer(args[1])
	return []string{decimal(tlog.StoredHashIndex(level, n)), decimal(tlog.StoredHashCount(n))}, nil
}

// tlogSplit: stored hash index → level, n.
func tlogSplit(args []string) ([]string, error) {
	need(args, 1)
	level, n := tlog.SplitStoredHashIndex(integer(args[0]))
	return []string{decimal(int64(level)), decimal(n)}, nil
}

// tlogStored: first, count → that many stored hashes of the synthetic log.
func tlogStored(args []string) ([]string, error) {
	need(args, 2)
	first, count := integer(args[0]), integer(args[1])
	var b strings.Builder
	for _, h := range synthetic.upTo(first + count)[first : first+count] {
		b.Write(h[:])
	}
	return []string{b.String()}, nil
}

// tlogRoot: n → root at size n (for this and the proofs see logOf).
func tlogRoot(args []string) ([]string, error) {
	need(args, 1)
	n := integer(args[0])
	h, err := tlog.TreeHash(n, logOf(n))
	return []string{raw(h)}, err
}

// tlogProveRecord: tree size, record → proof.
func tlogProveRecord(args []string) ([]string, error) {
	need(args, 2)
	t := integer(args[0])
	p, err := tlog.ProveRecord(t, integer(args[1]), logOf(t))
	return []string{joined(p)}, err
}

// tlogCheckRecord: proof, tree size, root, record, leaf hash → nothing.
func tlogCheckRecord(args []string) ([]string, error) {
	need(args, 5)
	return nil, tlog.CheckRecord(hashes(args[0]), integer(args[1]), hash(args[2]), integer(args[3]), hash(args[4]))
}

// tlogProveTree: tree size, older size → proof.
func tlogProveTree(args []string) ([]string, error) {
	need(args, 2)
	t := integer(args[0])
	p, err := tlog.ProveTree(t, integer(args[1]), logOf(t))
	return []string{joined(p)}, err
}

// tlogCheckTree: proof, tree size, root, older size, older root → nothing.
func tlogCheckTree(args []string) ([]string, error) {
	need(args, 5)
	return nil, tlog.CheckTree(hashes(args[0]), integer(args[1]), hash(args[2]), integer(args[3]), hash(args[4]))
}

// tlogTileParse: path → height, level, n, width.
func tlogTileParse(args []string) ([]string, error) {
	need(args, 1)
	t, err := tlog.ParseTilePath(args[0])
	return tileFields(t), err
}

// tlogTileFormat: height, level, n, width → path.
func tlogTileFormat(args []string) ([]string, error) {
	return []string{tile(args).Path()}, nil
}

// tlogTileAt: height, stored hash index → height, level, n, width.
func tlogTileAt(args []string) ([]string, error) {
	need(args, 2)
	return tileFields(tlog.TileForIndex(int(integer(args[0])), integer(args[1]))), nil
}

// tlogNewTiles: height, old size, new size → tile paths, one a line.
func tlogNewTiles(args []string) ([]string, error) {
	need(args, 3)
	var b strings.Builder
	for _, t := range tlog.NewTiles(int(integer(args[0])), integer(args[1]), integer(args[2])) {
		b.WriteString(t.Path() + "\n")
	}
	return []string{b.String()}, nil
}

// tlogTileData: height, level, n, width → the tile's bytes in the synthetic log.
func tlogTileData(args []string) ([]string, error) {
	data, err := tlog.ReadTileData(tile(args), synthetic)
	return []string{string(data)}, err
}

// tlogHashFromTile: height, level, n, width, data, stored hash index → hash.
func tlogHashFromTile(args []string) ([]string, error) {
	need(args, 6)
	h, err := tlog.HashFromTile(tile(args), []byte(args[4]), integer(args[5]))
	return []string{raw(h)}, err
}

// tlogRead: height, tree size, root, indexes (decimal, comma between), damage →
// the wanted hashes, and the tiles that were asked for and then saved, one path a line.
//
// Tiles come from the synthetic log. Each line of damage is
// "path SP offset SP mask", one byte to be XORed, or "path SP length", a tile cut or
// lengthened by zero bytes.
func tlogRead(args []string) ([]string, error) {
	need(args, 5)
	source := &tileSource{height: int(integer(args[0])), damage: args[4]}
	tree := tlog.Tree{N: integer(args[1]), Hash: hash(args[2])}
	var indexes []int64
	for s := range strings.SplitSeq(args[3], ",") {
		indexes = append(indexes, integer(s))
	}
	got, err := tlog.TileHashReader(tree, source).ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	return []string{joined(got), source.asked, source.saved}, nil
}

// tlogRecordParse: message → id, text, rest.
func tlogRecordParse(args []string) ([]string, error) {
	need(args, 1)
	id, text, rest, err := tlog.ParseRecord([]byte(args[0]))
	return []string{decimal(id), string(text), string(rest)}, err
}

// tlogRecordFormat: id, text → message.
func tlogRecordFormat(args []string) ([]string, error) {
	need(args, 2)
	msg, err := tlog.FormatRecord(integer(args[0]), []byte(args[1]))
	return []string{string(msg)}, err
}

// tlogDataTile: record text... → body of a data tile as the reference server writes it.
func tlogDataTile(args []string) ([]string, error) {
	var body []byte
	for i, text := range args {
		msg, err := tlog.FormatRecord(int64(i), []byte(text))
		if err != nil {
			return nil, err
		}
		_, msg, _ = bytes.Cut(msg, []byte("\n"))
		body = append(body, msg...)
	}
	return []string{string(body)}, nil
}

// tlogTreeParse: text → size, root.
func tlogTreeParse(args []string) ([]string, error) {
	need(args, 1)
	t, err := tlog.ParseTree([]byte(args[0]))
	return []string{decimal(t.N), raw(t.Hash)}, err
}

// tlogTreeFormat: size, root → text.
func tlogTreeFormat(args []string) ([]string, error) {
	need(args, 2)
	return []string{string(tlog.FormatTree(tlog.Tree{N: integer(args[0]), Hash: hash(args[1])}))}, nil
}

// A storedLog keeps all stored hashes of the synthetic log, whose record n is the
// decimal text of n, and grows as far as it is asked.
type storedLog struct {
	hashes  []tlog.Hash
	records int64
}

var synthetic = &storedLog{}

// logOf returns the log that questions about a tree of that size are about: the synthetic
// one, or beyond a million records one that needs no memory.
func logOf(size int64) tlog.HashReader {
	if size <= 1<<20 {
		return synthetic
	}
	return uniform{}
}

// A uniform log has the same record at every place, the decimal text of 0, and so only one
// hash for each level.
type uniform struct{}

// ReadHashes implements tlog.HashReader.
func (uniform) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, _ := tlog.SplitStoredHashIndex(x)
		list[i] = uniformHash[level]
	}
	return list, nil
}

var uniformHash = func() (levels [64]tlog.Hash) {
	levels[0] = tlog.RecordHash([]byte("0"))
	for i := 1; i < len(levels); i++ {
		levels[i] = tlog.NodeHash(levels[i-1], levels[i-1])
	}
	return levels
}()

// upTo returns the stored hashes, at least count of them.
func (l *storedLog) upTo(count int64) []tlog.Hash {
	if count > 1<<21 {
		panic(requestError("the synthetic log does not grow that far"))
	}
	for int64(len(l.hashes)) < count {
		more, err := tlog.StoredHashes(l.records, []byte(decimal(l.records)), l)
		if err != nil {
			panic(err)
		}
		l.hashes = append(l.hashes, more...)
		l.records++
	}
	return l.hashes
}

// ReadHashes implements tlog.HashReader.
func (l *storedLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 {
			return nil, errors.New("negative index")
		}
		list[i] = l.upTo(x + 1)[x]
	}
	return list, nil
}

// A tileSource serves tiles of the synthetic log, some of them damaged.
type tileSource struct {
	height       int
	damage       string
	asked, saved string
}

func (s *tileSource) Height() int { return s.height }

func (s *tileSource) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		s.asked += t.Path() + "\n"
		data, err := tlog.ReadTileData(t, synthetic)
		if err != nil {
			return nil, err
		}
		all = append(all, s.damaged(t.Path(), data))
	}
	return all, nil
}

func (s *tileSource) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for _, t := range tiles {
		s.saved += t.Path() + "\n"
	}
}

func (s *tileSource) damaged(path string, data []byte) []byte {
	for line := range strings.Lines(s.damage) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != path {
			continue
		}
		n := int(integer(f[1]))
		switch {
		case len(f) == 3 && n < len(data):
			data[n] ^= byte(integer(f[2]))
		case len(f) == 2 && n <= len(data):
			data = data[:n]
		case len(f) == 2:
			data = append(data, make([]byte, n-len(data))...)
		}
	}
	return data
}

func tile(args []string) tlog.Tile {
	need(args, 4)
	return tlog.Tile{H: int(integer(args[0])), L: int(integer(args[1])), N: integer(args[2]), W: int(integer(args[3]))}
}

func tileFields(t tlog.Tile) []string {
	return []string{strconv.Itoa(t.H), strconv.Itoa(t.L), decimal(t.N), strconv.Itoa(t.W)}
}

func raw(h tlog.Hash) string { return string(h[:]) }

func hash(s string) tlog.Hash {
	if len(s) != tlog.HashSize {
		panic(requestError("hash of another length"))
	}
	return tlog.Hash([]byte(s))
}

func hashes(s string) []tlog.Hash {
	var list []tlog.Hash
	for ; s != ""; s = s[tlog.HashSize:] {
		list = append(list, hash(s[:min(len(s), tlog.HashSize)]))
	}
	return list
}

func joined(list []tlog.Hash) string {
	var b strings.Builder
	for _, h := range list {
		b.Write(h[:])
	}
	return b.String()
}
