package main

import "cmd/go/internal/modfetch"

// This file is built as part of the go command's own source tree, together with
// ../oracle/main.go: see ../build-cmdgo.

func init() {
	register(map[string]op{
		"cmdgo.proxies":  proxies,
		"cmdgo.database": database,
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
