// Command refserver serves a checksum database of generated records with the server of
// golang.org/x/mod, from memory: the partner that speed is compared with.
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
	sign := flag.String("sign", "each", "sign the tree for `each` answer, as x/mod's own test server does, or once")
	flag.Parse()
	if err := run(*addr, *count, *sign); err != nil {
		fmt.Fprintln(os.Stderr, "refserver:", err)
		os.Exit(1)
	}
}

func run(addr string, count int64, sign string) error {
	if sign != "each" && sign != "once" {
		return fmt.Errorf("-sign %q: want each or once", sign)
	}
	log, err := generate(count, sign == "once")
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
	fmt.Printf("http://%s %s\n", l.Addr(), log.vkey)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	if err := http.Serve(l, mux); err != nil && !isClosed(err) {
		return err
	}
	return nil
}
