// Command refserver serves a checksum database of generated records with the server of
// golang.org/x/mod, from memory: the partner that speed is compared with. The log behind
// the server is x/mod's own TestServer, or a lean one without locks whose head is signed
// once.
//
// It listens on loopback, prints one line "URL VKEY" when it is ready, and serves until
// its standard input ends.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"golang.org/x/mod/sumdb"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	count := flag.Int64("records", 1_000_000, "number of generated records")
	kind := flag.String("log", "test", "the log behind the server: `test`, as x/mod has it, or lean")
	flag.Parse()
	if err := run(*addr, *count, *kind); err != nil {
		fmt.Fprintln(os.Stderr, "refserver:", err)
		os.Exit(1)
	}
}

func run(addr string, count int64, kind string) error {
	log, err := open(count, kind)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	server := sumdb.NewServer(log)
	for _, path := range sumdb.ServerPaths {
		mux.Handle(path, server)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s %s\n", l.Addr(), vkey)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	if err := http.Serve(l, mux); err != nil && !isClosed(err) {
		return err
	}
	return nil
}

func open(count int64, kind string) (sumdb.ServerOps, error) {
	switch kind {
	case "test":
		return fillTestServer(count)
	case "lean":
		return generate(count)
	}
	return nil, fmt.Errorf("-log %q: want test or lean", kind)
}
