package main

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

func init() {
	register(map[string]op{
		"module.check-path":        accepts(module.CheckPath),
		"module.check-import-path": accepts(module.CheckImportPath),
		"module.check-file-path":   accepts(module.CheckFilePath),
		"module.escape-path":       transforms(module.EscapePath),
		"module.escape-version":    transforms(module.EscapeVersion),
		"module.unescape-path":     transforms(module.UnescapePath),
		"module.unescape-version":  transforms(module.UnescapeVersion),
		"module.split-path":        moduleSplitPath,
		"module.check-path-major":  accepts2(module.CheckPathMajor),
		"module.check":             accepts2(module.Check),
		"module.canonical-version": moduleCanonicalVersion,
		"module.match-prefix":      moduleMatchPrefix,
		"module.sort":              moduleSort,
		"module.pseudo":            modulePseudo,
		"module.pseudo-new":        modulePseudoNew,
		"module.lookup":            moduleLookup,
		"semver.all":               semverAll,
		"semver.compare":           semverCompare,
		"semver.sort":              semverSort,
	})
}

func accepts(f func(string) error) op {
	return func(args []string) ([]string, error) {
		need(args, 1)
		return nil, f(args[0])
	}
}

func accepts2(f func(a, b string) error) op {
	return func(args []string) ([]string, error) {
		need(args, 2)
		return nil, f(args[0], args[1])
	}
}

func transforms(f func(string) (string, error)) op {
	return func(args []string) ([]string, error) {
		need(args, 1)
		s, err := f(args[0])
		return []string{s}, err
	}
}

// moduleSplitPath: path → prefix, path major, whether it split.
func moduleSplitPath(args []string) ([]string, error) {
	need(args, 1)
	prefix, major, ok := module.SplitPathVersion(args[0])
	return []string{prefix, major, truth(ok)}, nil
}

// moduleCanonicalVersion: version → canonical form, or nothing if invalid.
func moduleCanonicalVersion(args []string) ([]string, error) {
	need(args, 1)
	return []string{module.CanonicalVersion(args[0])}, nil
}

// moduleMatchPrefix: globs, target → whether one matches.
func moduleMatchPrefix(args []string) ([]string, error) {
	need(args, 2)
	return []string{truth(module.MatchPrefixPatterns(args[0], args[1]))}, nil
}

// moduleSort: path, version, path, version... → the same sorted.
func moduleSort(args []string) ([]string, error) {
	var list []module.Version
	for ; len(args) >= 2; args = args[2:] {
		list = append(list, module.Version{Path: args[0], Version: args[1]})
	}
	module.Sort(list)
	var out []string
	for _, m := range list {
		out = append(out, m.Path, m.Version)
	}
	return out, nil
}

// modulePseudo: version → is it one, then base, Unix time and revision, each after "+", or
// empty if that is an error.
func modulePseudo(args []string) ([]string, error) {
	need(args, 1)
	v := args[0]
	base, err1 := module.PseudoVersionBase(v)
	at, err2 := module.PseudoVersionTime(v)
	rev, err3 := module.PseudoVersionRev(v)
	return []string{
		truth(module.IsPseudoVersion(v)),
		unless(err1, base), unless(err2, decimal(at.Unix())), unless(err3, rev),
	}, nil
}

func unless(err error, s string) string {
	if err != nil {
		return ""
	}
	return "+" + s
}

// modulePseudoNew: major, older, Unix time, revision → pseudo-version.
func modulePseudoNew(args []string) ([]string, error) {
	need(args, 4)
	return []string{module.PseudoVersion(args[0], args[1], time.Unix(integer(args[2]), 0), args[3])}, nil
}

// The path syntax that the reference server of x/mod accepts after /lookup/.
var lookupSyntax = regexp.MustCompile(`^[^@]+@v[0-9]+\.[0-9]+\.[0-9]+(-[^@]*)?(\+incompatible)?$`)

// moduleLookup: what follows /lookup/ → module path, version. Beyond what the reference
// server asks for, the version has to be canonical and to agree with the path: no
// database has a record otherwise. Kinds: syntax, escape, disagree.
func moduleLookup(args []string) ([]string, error) {
	need(args, 1)
	if !lookupSyntax.MatchString(args[0]) {
		return nil, &rejection{"syntax", errors.New("invalid module@version syntax")}
	}
	escPath, escVers, _ := strings.Cut(args[0], "@")
	path, err := module.UnescapePath(escPath)
	if err != nil {
		return nil, &rejection{"escape", err}
	}
	vers, err := module.UnescapeVersion(escVers)
	if err != nil {
		return nil, &rejection{"escape", err}
	}
	if vers != module.CanonicalVersion(vers) {
		return nil, &rejection{"disagree", errors.New("version is not canonical")}
	}
	if err := module.Check(path, vers); err != nil {
		return nil, &rejection{"disagree", err}
	}
	return []string{path, vers}, nil
}

// semverAll: version → valid, canonical, major, major.minor, prerelease, build.
func semverAll(args []string) ([]string, error) {
	need(args, 1)
	v := args[0]
	return []string{
		truth(semver.IsValid(v)), semver.Canonical(v), semver.Major(v),
		semver.MajorMinor(v), semver.Prerelease(v), semver.Build(v),
	}, nil
}

// semverCompare: v, w → -1, 0 or 1.
func semverCompare(args []string) ([]string, error) {
	need(args, 2)
	return []string{decimal(int64(semver.Compare(args[0], args[1])))}, nil
}

// semverSort: version... → the same sorted.
func semverSort(args []string) ([]string, error) {
	semver.Sort(args)
	return args, nil
}
