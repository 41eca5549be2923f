package main

import (
	archive "archive/zip"
	"compress/flate"
	"errors"
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

func init() {
	register(map[string]op{
		"zip.judge":     zipJudge,
		"zip.hash":      zipHash,
		"zip.select":    zipSelect,
		"flate.inflate": flateInflate,
		"dirhash.files": dirhashFiles,
		"rune.fold":     runeFold,
		"rune.is":       runeIs,
		"go.lang":       goLang,
	})
}

// zipJudge: module path, version, zip → h1, the root go.mod after "+" if there is one, number
// of files, sum of their sizes. Rejects what CheckZip or HashZip rejects.
func zipJudge(args []string) ([]string, error) {
	need(args, 3)
	m := module.Version{Path: args[0], Version: args[1]}
	name := onDisk(args[2])
	cf, err := zip.CheckZip(m, name)
	if err != nil {
		return nil, err
	}
	h1, err := dirhash.HashZip(name, dirhash.Hash1)
	if err != nil {
		return nil, err
	}
	z, err := archive.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var size uint64
	goMod := ""
	for _, f := range z.File {
		size += f.UncompressedSize64
		if f.Name == m.String()+"/go.mod" {
			goMod = "+" + content(f)
		}
	}
	return []string{h1, goMod, decimal(int64(len(cf.Valid))), decimal(int64(size))}, nil
}

func content(f *archive.File) string {
	r, err := f.Open()
	if err != nil {
		panic(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// zipHash: zip → h1.
func zipHash(args []string) ([]string, error) {
	need(args, 1)
	h1, err := dirhash.HashZip(onDisk(args[0]), dirhash.Hash1)
	return []string{h1}, err
}

// zipSelect: (kind, size, path, content)... → whether a module can be made of the files, their paths
// that are kept and those that are omitted, with the reason; of a list with invalid files only the
// first of them and whether it is too large, since what is told of the others depends on the first.
func zipSelect(args []string) ([]string, error) {
	var files []zip.File
	for ; len(args) > 0; args = args[4:] {
		need(args, 4)
		files = append(files, listedFile{args[0], integer(args[1]), args[2], args[3]})
	}
	cf, err := zip.CheckFiles(files)
	tooLarge := truth(cf.SizeError != nil)
	if len(cf.Invalid) > 0 {
		return []string{"0", tooLarge, cf.Invalid[0].Error()}, nil
	}
	var omitted []string
	for _, o := range cf.Omitted {
		omitted = append(omitted, o.Error())
	}
	return []string{truth(err == nil), tooLarge, strings.Join(cf.Valid, "\n"), strings.Join(omitted, "\n")}, nil
}

// A listedFile is a file that exists in a list only.
type listedFile struct {
	kind    string
	size    int64
	path    string
	content string
}

func (f listedFile) Path() string                { return f.path }
func (f listedFile) Lstat() (fs.FileInfo, error) { return f, nil }
func (f listedFile) Open() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(f.content)), nil
}
func (f listedFile) Name() string       { return path.Base(f.path) }
func (f listedFile) Size() int64        { return f.size }
func (f listedFile) ModTime() time.Time { return time.Time{} }
func (f listedFile) IsDir() bool        { return false }
func (f listedFile) Sys() any           { return nil }

func (f listedFile) Mode() fs.FileMode {
	switch f.kind {
	case "file":
		return 0o644
	case "symlink":
		return fs.ModeSymlink | 0o777
	case "other":
		return fs.ModeNamedPipe
	}
	panic(requestError("unknown kind of file"))
}

// flateInflate: deflated stream, limit → content, which is rejected if it is longer.
func flateInflate(args []string) ([]string, error) {
	need(args, 2)
	limit := integer(args[1])
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(strings.NewReader(args[0])), limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("too long")
	}
	return []string{string(data)}, err
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

// runeIs: class (letter or print), first and end code point → 1 or 0 for each.
func runeIs(args []string) ([]string, error) {
	need(args, 3)
	class := map[string]func(rune) bool{"letter": unicode.IsLetter, "print": unicode.IsPrint}[args[0]]
	if class == nil {
		panic(requestError("unknown class of characters"))
	}
	var b strings.Builder
	for r := rune(integer(args[1])); r < rune(integer(args[2])); r++ {
		b.WriteString(truth(class(r)))
	}
	return []string{b.String()}, nil
}

// goLang: Go version as in a go line → its language version with "go" in front, or nothing.
func goLang(args []string) ([]string, error) {
	need(args, 1)
	return []string{version.Lang("go" + args[0])}, nil
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
