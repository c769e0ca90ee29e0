package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	header  = "-----BEGIN SSH SIGNATURE-----\n"
	footer  = "\n-----END SSH SIGNATURE-----"
	columns = 70 // where ssh-keygen breaks lines
	// MaxSize is the size in bytes from which on nothing is a signature. One by an RSA
	// key of 16384 bits has some 6 KiB.
	MaxSize = 64 << 10
)

// preamble begins what is signed, so that it can't be taken for anything else
// that a key signs.
var preamble = [6]byte{'S', 'S', 'H', 'S', 'I', 'G'}

const version = 1

// envelope is the signature as PROTOCOL.sshsig lays it out.
type envelope struct {
	Preamble  [6]byte
	Version   uint32
	Key       []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
}

// toSign is what the key signs.
type toSign struct {
	Preamble  [6]byte
	Namespace string
	Reserved  string
	Hash      string
	Digest    []byte
}

// digest is the message as the key signs it.
func digest(namespace, hash string, message []byte) ([]byte, error) {
	var sum []byte
	switch hash {
	case "sha256":
		s := sha256.Sum256(message)
		sum = s[:]
	case "sha512":
		s := sha512.Sum512(message)
		sum = s[:]
	default:
		return nil, fmt.Errorf("hash %q is not accepted: sha256 and sha512 are", hash)
	}
	return ssh.Marshal(toSign{preamble, namespace, "", hash, sum}), nil
}

// armor writes an envelope as text, byte for byte as ssh-keygen does.
func armor(e envelope) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	text := base64.StdEncoding.EncodeToString(ssh.Marshal(e))
	for len(text) > columns {
		b.WriteString(text[:columns] + "\n")
		text = text[columns:]
	}
	b.WriteString(text + footer + "\n")
	return b.Bytes()
}

// dearmor reads what armor writes, also with lines of other lengths, and nothing
// before or after it.
func dearmor(armored []byte) (envelope, error) {
	if len(armored) > MaxSize {
		return envelope{}, fmt.Errorf("it has %d bytes, and no signature has more than %d", len(armored), MaxSize)
	}
	text, ok := strings.CutPrefix(strings.ReplaceAll(string(armored), "\r\n", "\n"), header)
	if !ok {
		return envelope{}, errors.New("it doesn't begin with BEGIN SSH SIGNATURE")
	}
	if text, ok = strings.CutSuffix(strings.TrimRight(text, "\n"), footer); !ok {
		return envelope{}, errors.New("it doesn't end with END SSH SIGNATURE")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text) // skips ends of lines
	if err != nil {
		return envelope{}, errors.New("it is no base64")
	}
	var e envelope
	if err := ssh.Unmarshal(raw, &e); err != nil {
		return envelope{}, errors.New("it is cut off, or has something behind its end")
	}
	return e, e.check()
}

// check refuses what another version of the format may mean something by.
func (e envelope) check() error {
	switch {
	case e.Preamble != preamble:
		return errors.New("it is no SSHSIG")
	case e.Version != version:
		return fmt.Errorf("version %d of the format is not known", e.Version)
	case e.Reserved != "":
		return errors.New("it has something in its reserved field")
	}
	return nil
}
