package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

func init() {
	register(map[string]op{
		"note.vkey":    noteVerifier,
		"note.skey":    noteSigner,
		"note.newvkey": noteNewVerifierKey,
		"note.verify":  noteVerify,
		"note.open":    noteOpen,
		"note.sign":    noteSign,
		"note.resign":  noteResign,
	})
}

// noteVerifier: vkey → name, hash.
func noteVerifier(args []string) ([]string, error) {
	need(args, 1)
	v, err := note.NewVerifier(args[0])
	if err != nil {
		return nil, err
	}
	return []string{v.Name(), hex32(v.KeyHash())}, nil
}

// noteSigner: skey, message → name, hash, signature of the message.
func noteSigner(args []string) ([]string, error) {
	need(args, 2)
	s, err := note.NewSigner(args[0])
	if err != nil {
		return nil, err
	}
	sig, err := s.Sign([]byte(args[1]))
	if err != nil {
		return nil, err
	}
	return []string{s.Name(), hex32(s.KeyHash()), string(sig)}, nil
}

// noteNewVerifierKey: name, public key → vkey.
func noteNewVerifierKey(args []string) ([]string, error) {
	need(args, 2)
	vkey, err := note.NewEd25519VerifierKey(args[0], ed25519.PublicKey(args[1]))
	return []string{vkey}, err
}

// noteVerify: public key, message, signature → whether it is one.
func noteVerify(args []string) ([]string, error) {
	need(args, 3)
	return []string{truth(ed25519.Verify(ed25519.PublicKey(args[0]), []byte(args[1]), []byte(args[2])))}, nil
}

// noteOpen: message, vkey... → text, verified signatures, unverified signatures, each
// as lines "name hash base64". Kinds: malformed, invalid, unverified, ambiguous.
func noteOpen(args []string) ([]string, error) {
	need(args, 1)
	n, err := note.Open([]byte(args[0]), verifiers(args[1:]))
	if err != nil {
		return nil, &rejection{noteKind(err), err}
	}
	return []string{n.Text, sigLines(n.Sigs), sigLines(n.UnverifiedSigs)}, nil
}

// noteSign: text, skey... → message.
func noteSign(args []string) ([]string, error) {
	need(args, 1)
	msg, err := note.Sign(&note.Note{Text: args[0]}, signers(args[1:])...)
	return []string{string(msg)}, err
}

// noteResign: message, number of vkeys, vkey..., skey... → the opened note signed once more.
func noteResign(args []string) ([]string, error) {
	need(args, 2)
	known := int(integer(args[1]))
	need(args[2:], known)
	n, err := note.Open([]byte(args[0]), verifiers(args[2:2+known]))
	if err != nil {
		return nil, err
	}
	msg, err := note.Sign(n, signers(args[2+known:])...)
	return []string{string(msg)}, err
}

func verifiers(vkeys []string) note.Verifiers {
	var list []note.Verifier
	for _, vkey := range vkeys {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			panic(requestError(err.Error()))
		}
		list = append(list, v)
	}
	return note.VerifierList(list...)
}

func signers(skeys []string) []note.Signer {
	var list []note.Signer
	for _, skey := range skeys {
		s, err := note.NewSigner(skey)
		if err != nil {
			panic(requestError(err.Error()))
		}
		list = append(list, s)
	}
	return list
}

func noteKind(err error) string {
	if _, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return "invalid"
	}
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return "unverified"
	}
	if strings.HasPrefix(err.Error(), "ambiguous key") {
		return "ambiguous"
	}
	return "malformed"
}

func sigLines(sigs []note.Signature) string {
	var b strings.Builder
	for _, s := range sigs {
		fmt.Fprintf(&b, "%s %08x %s\n", s.Name, s.Hash, s.Base64)
	}
	return b.String()
}

func hex32(h uint32) string { return fmt.Sprintf("%08x", h) }
