// Command oracle answers questions about Go's reference implementation
// (golang.org/x/mod and the standard library), so that the tests of another
// implementation can compare themselves with it by the hundred thousand.
//
// It reads one request a line from standard input and writes one answer a line
// to standard output, in the same order:
//
//	request = op *( SP arg ) LF
//	answer  = "ok" *( SP field ) LF / "err" SP kind SP text LF / "panic" SP text LF
//
// Every arg, field, kind and text is padded standard base64 of its bytes; a single "-"
// stands for no bytes. Numbers are decimal text. Answers are flushed whenever no
// further request is waiting, so a caller may send one request or many at once.
package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
)

// An op answers one kind of request. A returned error means that the reference
// rejects the input; a badly formed request panics with a requestError.
type op func(args []string) ([]string, error)

// A rejection is an error with the kind that the caller may compare.
type rejection struct {
	kind string
	err  error
}

func (r *rejection) Error() string { return r.err.Error() }

// cleanup is run when the requests have ended.
var cleanup []func()

// A requestError says that the caller, not the input under test, is at fault.
type requestError string

// table holds every op by its name.
var table = map[string]op{}

// register adds ops to the table; each file of ops does so for its own.
func register(ops map[string]op) {
	maps.Copy(table, ops)
}

func main() {
	err := serve(os.Stdin, os.Stdout)
	for _, f := range cleanup {
		f()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

// serve answers requests until the end of input.
func serve(r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, 1<<20)
	out := bufio.NewWriterSize(w, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF && line == "" {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		answer, err := one(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return err
		}
		if _, err := out.WriteString(answer); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// one answers a single request line. The error is for requests that make no sense.
func one(line string) (answer string, fault error) {
	words := strings.Split(line, " ")
	f, ok := table[words[0]]
	if !ok {
		return "", fmt.Errorf("unknown op %q", words[0])
	}
	args, err := decode(words[1:])
	if err != nil {
		return "", fmt.Errorf("%s: %v", words[0], err)
	}
	defer func() {
		switch v := recover().(type) {
		case nil:
		case requestError:
			fault = fmt.Errorf("%s: %s", words[0], string(v))
		default:
			answer = "panic" + encode(fmt.Sprint(v)) + "\n"
		}
	}()
	fields, err := f(args)
	if err != nil {
		return "err" + encode(kindOf(err), err.Error()) + "\n", nil
	}
	return "ok" + encode(fields...) + "\n", nil
}

func kindOf(err error) string {
	if r, ok := errors.AsType[*rejection](err); ok {
		return r.kind
	}
	return ""
}

func decode(words []string) ([]string, error) {
	args := make([]string, len(words))
	for i, w := range words {
		if w == "-" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(w)
		if err != nil {
			return nil, err
		}
		args[i] = string(b)
	}
	return args, nil
}

func encode(fields ...string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteByte(' ')
		if f == "" {
			b.WriteByte('-')
			continue
		}
		b.WriteString(base64.StdEncoding.EncodeToString([]byte(f)))
	}
	return b.String()
}

// need panics unless there are at least n arguments.
func need(args []string, n int) {
	if len(args) < n {
		panic(requestError(fmt.Sprintf("%d arguments, want %d", len(args), n)))
	}
}

// integer reads a decimal argument.
func integer(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(requestError(err.Error()))
	}
	return n
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func truth(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
