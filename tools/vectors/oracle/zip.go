package main

import (
	"bytes"
	"go/version"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

var zipOps = map[string]op{
	"zip.check":     zipCheck,
	"zip.hash":      zipHash,
	"zip.select":    zipSelect,
	"dirhash.files": dirhashFiles,
	"rune.fold":     runeFold,
	"rune.letter":   runeLetter,
	"go.lang":       goLang,
}

// zipCheck: module path, version, zip → number of valid files.
// Kinds: size, files, zip.
func zipCheck(args []string) ([]string, error) {
	need(args, 3)
	cf, err := zip.CheckZip(module.Version{Path: args[0], Version: args[1]}, onDisk(args[2]))
	switch {
	case err == nil:
		return []string{strings.Join(cf.Valid, "\x00")}, nil
	case cf.SizeError != nil:
		return nil, &rejection{"size", err}
	case len(cf.Invalid) > 0:
		return nil, &rejection{"files", err}
	}
	return nil, &rejection{"zip", err}
}

// zipHash: zip → h1.
func zipHash(args []string) ([]string, error) {
	need(args, 1)
	h1, err := dirhash.HashZip(onDisk(args[0]), dirhash.Hash1)
	return []string{h1}, err
}

// zipSelect: (path, kind, size, content)... → names kept, omitted and invalid, each with a
// NUL after every name, and whether the tree is too large. Kind is f (file), d (directory),
// l (symbolic link) or o (anything else).
func zipSelect(args []string) ([]string, error) {
	var files []zip.File
	for ; len(args) > 0; args = args[4:] {
		need(args, 4)
		files = append(files, listed{args[0], args[1], integer(args[2]), args[3]})
	}
	cf, _ := zip.CheckFiles(files)
	return []string{names(cf.Valid), errorNames(cf.Omitted), errorNames(cf.Invalid), truth(cf.SizeError != nil)}, nil
}

// dirhashFiles: (name, content)... → h1.
func dirhashFiles(args []string) ([]string, error) {
	var list []string
	content := map[string]string{}
	for ; len(args) > 0; args = args[2:] {
		need(args, 2)
		list = append(list, args[0])
		content[args[0]] = args[1]
	}
	h1, err := dirhash.Hash1(list, func(name string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content[name])), nil
	})
	return []string{h1}, err
}

// runeFold: first and end code point → smallest member of each one's folding orbit, one a
// line, with the upper-case ASCII letters turned to lower case as x/mod/zip does.
func runeFold(args []string) ([]string, error) {
	need(args, 2)
	var b strings.Builder
	for r := rune(integer(args[0])); r < rune(integer(args[1])); r++ {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		if 'A' <= least && least <= 'Z' {
			least += 'a' - 'A'
		}
		b.WriteString(decimal(int64(least)) + "\n")
	}
	return []string{b.String()}, nil
}

// runeLetter: first and end code point → 1 or 0 for each: is it a letter.
func runeLetter(args []string) ([]string, error) {
	need(args, 2)
	var b strings.Builder
	for r := rune(integer(args[0])); r < rune(integer(args[1])); r++ {
		b.WriteString(truth(unicode.IsLetter(r)))
	}
	return []string{b.String()}, nil
}

// goLang: Go version as in a go line → its language version with "go" in front, and how that
// compares with go1.24.
func goLang(args []string) ([]string, error) {
	need(args, 1)
	lang := version.Lang("go" + args[0])
	return []string{lang, decimal(int64(version.Compare(lang, "go1.24")))}, nil
}

// scratch is the one file through which zips reach functions that want a name.
var scratch = sync.OnceValue(func() *os.File {
	dir := "/dev/shm"
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = ""
	}
	f, err := os.CreateTemp(dir, "quipu-oracle-*.zip")
	if err != nil {
		panic(err)
	}
	cleanup = append(cleanup, func() { os.Remove(f.Name()) })
	return f
})

// onDisk writes data to the scratch file and returns the file's name.
func onDisk(data string) string {
	f := scratch()
	if err := f.Truncate(0); err != nil {
		panic(err)
	}
	if _, err := f.WriteAt([]byte(data), 0); err != nil {
		panic(err)
	}
	return f.Name()
}

// listed is a file that exists only as a line of a list.
type listed struct {
	name, kind string
	size       int64
	content    string
}

func (l listed) Path() string                { return l.name }
func (l listed) Lstat() (fs.FileInfo, error) { return info{l}, nil }
func (l listed) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(l.content))), nil
}

type info struct{ l listed }

func (i info) Name() string       { return path.Base(i.l.name) }
func (i info) Size() int64        { return i.l.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.l.kind == "d" }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	switch i.l.kind {
	case "d":
		return fs.ModeDir | 0o755
	case "l":
		return fs.ModeSymlink | 0o777
	case "o":
		return fs.ModeNamedPipe | 0o644
	}
	return 0o644
}

func names(list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s + "\x00")
	}
	return b.String()
}

func errorNames(list []zip.FileError) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteString(e.Path + "\x00")
	}
	return b.String()
}
