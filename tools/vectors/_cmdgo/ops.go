package main

import (
	"cmd/go/internal/modfetch"
	"cmd/go/internal/vcs"
)

// This file is built as part of the go command's own source tree, together with
// ../oracle/main.go: see ../build-cmdgo.

func init() {
	register(map[string]op{
		"cmdgo.proxies":  proxies,
		"cmdgo.database": database,
		"cmdgo.govcs":    govcs,
		"cmdgo.imports":  imports,
		"cmdgo.root":     root,
	})
}

// proxies: value of GOPROXY → each entry, its separator in front: "," or "|".
func proxies(args []string) ([]string, error) {
	need(args, 1)
	return modfetch.OracleProxies(args[0])
}

// database: value of GOSUMDB → name, key, whether it has a URL.
func database(args []string) ([]string, error) {
	need(args, 1)
	return modfetch.OracleDatabase(args[0])
}

// govcs: value of GOVCS, value of GOPRIVATE, root, version control system → nothing, if it is allowed.
func govcs(args []string) ([]string, error) {
	need(args, 4)
	return nil, vcs.OracleGovcs(args[0], args[1], args[2], args[3])
}

// imports: page → prefix, system, URL and subdirectory of each go-import tag.
func imports(args []string) ([]string, error) {
	need(args, 1)
	return vcs.OracleImports(args[0])
}

// root: import path → root, system and repository, if it says so by itself.
func root(args []string) ([]string, error) {
	need(args, 1)
	return vcs.OracleRoot(args[0])
}
