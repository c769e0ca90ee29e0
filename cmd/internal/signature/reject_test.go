package signature

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// forge signs in ways that Sign doesn't.
type forge struct {
	key     ssh.AlgorithmSigner
	edit    func(*envelope)
	alg     string // of the key's signature; empty is what Sign takes
	tail    []byte // behind the key's signature
	rawTail []byte // behind the envelope
}

func (f forge) armored(t *testing.T) []byte {
	t.Helper()
	e := envelope{preamble, version, f.key.PublicKey().Marshal(), Namespace, "", "sha512", nil}
	if f.edit != nil {
		f.edit(&e)
	}
	data, err := digest(e.Namespace, "sha512", message)
	if err != nil {
		t.Fatal(err)
	}
	alg := f.alg
	if alg == "" {
		alg = algorithms[f.key.PublicKey().Type()][0]
	}
	sig, err := f.key.SignWithAlgorithm(rand.Reader, data, alg)
	if err != nil {
		t.Fatal(err)
	}
	sig.Rest = f.tail
	if e.Signature == nil {
		e.Signature = ssh.Marshal(sig)
	}
	raw := append(ssh.Marshal(e), f.rawTail...)
	return []byte(header + base64.StdEncoding.EncodeToString(raw) + footer + "\n")
}

func privateKey(t *testing.T, path string) ssh.AlgorithmSigner {
	t.Helper()
	k, err := ssh.ParsePrivateKey(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return k.(ssh.AlgorithmSigner)
}

func TestVerifyRefuses(t *testing.T) {
	noAgent(t)
	ed, rsa, weak, ec := newKey(t, "-t", "ed25519"), newKey(t, "-t", "rsa", "-b", "2048"), newKey(t, "-t", "rsa", "-b", "1024"), newKey(t, "-t", "ecdsa")
	edKey, rsaKey, weakKey, ecKey := privateKey(t, ed), privateKey(t, rsa), privateKey(t, weak), privateKey(t, ec)
	allowed := parse(t, line(t, alice, "", ed)+line(t, alice, "", rsa)+line(t, alice, "", ec))
	// The weak key gets past the list, which would refuse it, too.
	allowed.lines = append(allowed.lines, allowedLine{number: 4, principals: alice, key: weakKey.PublicKey()})
	good := forge{key: edKey}.armored(t)
	edit := func(change func(e *envelope)) []byte { return forge{key: edKey, edit: change}.armored(t) }

	for name, armored := range map[string][]byte{"ed25519": good, "rsa": forge{key: rsaKey}.armored(t), "rsa sha2-256": forge{key: rsaKey, alg: ssh.KeyAlgoRSASHA256}.armored(t),
		"carriage returns": bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), "no last newline": bytes.TrimSpace(good)} {
		if who, err := Verify(armored, message, Namespace, allowed, time.Now()); err != nil || who != alice {
			t.Errorf("%s: %q, %v", name, who, err)
		}
	}

	for name, c := range map[string]struct {
		armored []byte
		want    string
	}{
		"nothing":                     {nil, "doesn't begin"},
		"only the header":             {[]byte(header), "doesn't end"},
		"cut off":                     {good[:len(good)/2], "doesn't end"},
		"cut off inside":              {[]byte(header + string(good[len(header):len(header)+40]) + footer), "cut off"},
		"text before":                 {append([]byte("x\n"), good...), "doesn't begin"},
		"blank before":                {append([]byte(" "), good...), "doesn't begin"},
		"text after":                  {append(bytes.Clone(good), "x\n"...), "doesn't end"},
		"a second one after":          {append(bytes.Clone(good), good...), "no base64"},
		"blank lines of the inside":   {bytes.Replace(good, []byte("\n"), []byte("\n \n"), 1), "no base64"},
		"too long":                    {append(bytes.Clone(good), bytes.Repeat([]byte("\n"), MaxSize)...), "no signature has more than"},
		"another PEM block":           {bytes.ReplaceAll(good, []byte("SSH SIGNATURE"), []byte("PGP SIGNATURE")), "doesn't begin"},
		"another preamble":            {edit(func(e *envelope) { e.Preamble[0] = 'X' }), "no SSHSIG"},
		"version 0":                   {edit(func(e *envelope) { e.Version = 0 }), "version 0"},
		"version 2":                   {edit(func(e *envelope) { e.Version = 2 }), "version 2"},
		"reserved":                    {edit(func(e *envelope) { e.Reserved = "x" }), "reserved"},
		"hash sha1":                   {edit(func(e *envelope) { e.Hash = "sha1" }), `hash "sha1" is not accepted`},
		"hash md5":                    {edit(func(e *envelope) { e.Hash = "md5" }), `hash "md5" is not accepted`},
		"no hash":                     {edit(func(e *envelope) { e.Hash = "" }), `hash "" is not accepted`},
		"another hash than signed":    {edit(func(e *envelope) { e.Hash = "sha256" }), "not one of these bytes"},
		"namespace of git":            {edit(func(e *envelope) { e.Namespace = "git" }), `made for "git", not for "blast-plan"`},
		"no namespace":                {edit(func(e *envelope) { e.Namespace = "" }), `made for ""`},
		"behind the envelope":         {forge{key: edKey, rawTail: []byte{0}}.armored(t), "behind its end"},
		"behind the signature":        {forge{key: edKey, tail: []byte{0}}.armored(t), "behind its end"},
		"no signature":                {edit(func(e *envelope) { e.Signature = []byte{} }), "read signature"},
		"an empty signature":          {edit(func(e *envelope) { e.Signature = ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519}) }), "not one of these bytes"},
		"no key":                      {edit(func(e *envelope) { e.Key = nil }), "read key"},
		"half a key":                  {edit(func(e *envelope) { e.Key = e.Key[:len(e.Key)-1] }), "read key"},
		"another's key":               {edit(func(e *envelope) { e.Key = privateKey(t, newKey(t, "-t", "ed25519")).PublicKey().Marshal() }), "not one of these bytes"},
		"a key of another type":       {edit(func(e *envelope) { e.Key = ecKey.PublicKey().Marshal() }), `a signature "ssh-ed25519" by a key of type "ecdsa`},
		"RSA with SHA-1":              {forge{key: rsaKey, alg: ssh.KeyAlgoRSA}.armored(t), `a signature "ssh-rsa" by a key of type "ssh-rsa" is not accepted`},
		"RSA of 1024 bits":            {forge{key: weakKey}.armored(t), "RSA key of 1024 bits"},
		"DSA":                         {edit(func(e *envelope) { e.Key = dsaKey() }), "read key"},
		"key that nobody has allowed": {forge{key: privateKey(t, newKey(t, "-t", "ed25519"))}.armored(t), "not in the list of allowed signers"},
		"a certificate":               {certified(t, ed), `keys of type "ssh-ed25519-cert-v01@openssh.com" are not accepted`},
	} {
		who, err := Verify(c.armored, message, Namespace, allowed, time.Now())
		if err == nil || who != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v, want an error with %q", name, who, err, c.want)
		}
	}
	if _, err := Verify(good, message, "another", allowed, time.Now()); err == nil {
		t.Error("accepted for another namespace")
	}
	if _, err := Verify(good, message, Namespace, AllowedSigners{}, time.Now()); err == nil {
		t.Error("accepted where nobody is allowed")
	}
	for i := range message {
		other := bytes.Clone(message)
		other[i] ^= 1
		if _, err := Verify(good, other, Namespace, allowed, time.Now()); err == nil {
			t.Errorf("accepted with byte %d changed", i)
		}
	}
}

// dsaKey is laid out as RFC 4253, 6.6 has it.
func dsaKey() []byte {
	return ssh.Marshal(struct {
		Type       string
		P, Q, G, Y []byte
	}{"ssh-dss", bytes.Repeat([]byte{0x7f}, 128), bytes.Repeat([]byte{0x7f}, 20), []byte{2}, []byte{4}})
}

// certified is a real signature by a certificate of the key at path, which another
// key signed.
func certified(t *testing.T, path string) []byte {
	t.Helper()
	authority := newKey(t, "-t", "ed25519")
	copied := write(t, read(t, path), 0o600)
	if err := os.WriteFile(copied+".pub", read(t, path+".pub"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "ssh-keygen", "-q", "-s", authority, "-I", "cert", "-n", alice, copied+".pub")
	armored := keygenSigns(t, copied+"-cert.pub", Namespace)
	if err := keygenVerifies(t, armored, message, Namespace, line(t, alice, "cert-authority", authority), alice, time.Now()); err != nil {
		t.Fatalf("ssh-keygen doesn't know its own certificate: %v", err)
	}
	return armored
}
