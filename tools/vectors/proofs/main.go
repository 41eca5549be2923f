// Proofs writes testdata/vectors/proofs.json: proof and evidence files, good and bad, made as
// docs/FORMATS.md says with the tree, the proofs and the signatures of golang.org/x/mod, and by no code of
// quipu's. With arguments (a verifier key and files) it checks proof files instead.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type proofCase struct {
	Name     string   `json:"name"`
	TreeSize int64    `json:"tree_size,omitempty"`
	Records  []int64  `json:"records,omitempty"`
	Lines    []string `json:"lines,omitempty"`
	Text     string   `json:"text"`
}

type evidenceCase struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"`
	Text string `json:"text"`
}

type vectors struct {
	Description  string         `json:"description"`
	Vkey         string         `json:"vkey"`
	GoSum        []proofCase    `json:"go_sum"`
	GoSumBad     []proofCase    `json:"go_sum_bad"`
	TlogProof    []proofCase    `json:"tlog_proof"`
	TlogProofBad []proofCase    `json:"tlog_proof_bad"`
	Evidence     []evidenceCase `json:"evidence"`
	EvidenceBad  []evidenceCase `json:"evidence_bad"`
}

func main() {
	if len(os.Args) > 2 {
		checkFiles(os.Args[1], os.Args[2:])
		return
	}
	v := vectors{
		Description: "Proof and evidence files as docs/FORMATS.md has them. Record i is the one of tlog.json: " +
			"filler.test/m<i> v1.0.0 h1:<base64 SHA256('z'+i)> LF filler.test/m<i> v1.0.0/go.mod h1:<base64 SHA256('m'+i)> LF. " +
			"The key is the one with the seed of 32 bytes 0x42. In go_sum, the lines wanted of record i are the zip's if i " +
			"is even, the go.mod's if i is odd, and both if i is a multiple of 4. All of the lists with _bad prove nothing, " +
			"or are malformed.",
		Vkey: vkey,
	}
	v.GoSum, v.GoSumBad = goSumCases()
	v.TlogProof, v.TlogProofBad = tlogProofCases()
	v.Evidence, v.EvidenceBad = evidenceCases()
	for _, c := range append(v.GoSum, v.TlogProof...) {
		if _, err := checkProof(vkey, c.Text); err != nil {
			fail("%s: %v", c.Name, err)
		}
	}
	for _, c := range append(v.GoSumBad, v.TlogProofBad...) {
		if _, err := checkProof(vkey, c.Text); err == nil {
			fail("%s: proves something", c.Name)
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	if err := out.Encode(v); err != nil {
		fail("%v", err)
	}
}

func checkFiles(key string, files []string) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			fail("%v", err)
		}
		what, err := checkProof(key, string(text))
		if err != nil {
			fail("%s: %v", file, err)
		}
		fmt.Printf("%s: %s\n", file, what)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "proofs: "+format+"\n", args...)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return value
}
