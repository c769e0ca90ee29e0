package signature

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func TestEncryptedKey(t *testing.T) {
	noAgent(t)
	for _, args := range [][]string{{"-t", "ed25519"}, {"-t", "rsa", "-b", "2048", "-m", "PEM"}} {
		key := newKey(t, append(args, "-N", "a secret")...)
		asked := 0
		armored := sign(t, key, typed("a secret", &asked))
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		if err := keygenVerifies(t, armored, message, Namespace, line(t, alice, "", key), alice, time.Now()); err != nil {
			t.Errorf("ssh-keygen refuses: %v", err)
		}
		if _, err := LoadSigner(t.Context(), key, typed("another", &asked)); err == nil || !strings.Contains(err.Error(), "not its passphrase") {
			t.Errorf("wrong passphrase: %v", err)
		}
		if _, err := LoadSigner(t.Context(), key, nil); err == nil || !strings.Contains(err.Error(), "ssh-add") {
			t.Errorf("nobody to ask: %v", err)
		}
		gone := errors.New("no terminal")
		if _, err := LoadSigner(t.Context(), key, func(context.Context) ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
			t.Errorf("nobody answers: %v", err)
		}
	}
}

func TestPassphraseIsOverwritten(t *testing.T) {
	noAgent(t)
	pass := []byte("a secret")
	if _, err := LoadSigner(t.Context(), newKey(t, "-t", "ed25519", "-N", string(pass)), func(context.Context) ([]byte, error) { return pass, nil }); err != nil {
		t.Fatal(err)
	}
	if string(pass) != strings.Repeat("\x00", len(pass)) {
		t.Errorf("it is still %q", pass)
	}
}

// As `openssl genpkey -algorithm ed25519` writes them.
func TestPKCS8Key(t *testing.T) {
	noAgent(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	allowed := alice + " " + string(ssh.MarshalAuthorizedKey(key))
	if err := keygenVerifies(t, sign(t, path, nil), message, Namespace, allowed, alice, time.Now()); err != nil {
		t.Errorf("ssh-keygen refuses: %v", err)
	}
}

func TestKeysOfOthersAreRefused(t *testing.T) {
	noAgent(t)
	key := read(t, newKey(t, "-t", "ed25519"))
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if _, err := LoadSigner(t.Context(), write(t, key, mode), nil); err != nil {
			t.Errorf("%#o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601, 0o644, 0o660} {
		_, err := LoadSigner(t.Context(), write(t, key, mode), nil)
		if err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%#o: %v", mode, err)
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	noAgent(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ed := newKey(t, "-t", "ed25519")
	pub := read(t, ed+".pub")
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	for name, c := range map[string]struct{ path, want string }{
		"missing":        {filepath.Join(t.TempDir(), "none"), "no such file"},
		"a folder":       {t.TempDir(), "not a regular file"},
		"a pipe":         {pipe, "not a regular file"},
		"a device":       {"/dev/zero", "not a regular file"},
		"too large":      {write(t, make([]byte, maxKey+1), 0o600), "at most 64 KiB"},
		"empty":          {write(t, nil, 0o600), "neither"},
		"text":           {write(t, []byte("hello\n"), 0o600), "neither"},
		"two keys":       {write(t, append(pub, pub...), 0o600), "neither"},
		"an option":      {write(t, append([]byte("no-pty "), pub...), 0o600), "neither"},
		"half a key":     {write(t, read(t, ed)[:200], 0o600), "neither"},
		"1024 bits":      {newKey(t, "-t", "rsa", "-b", "1024"), "RSA key of 1024 bits"},
		"DSA":            {newKey(t, "-t", "dsa"), "signing key"},
		"PKCS8, locked":  {write(t, encrypted, 0o600), "ssh-keygen -p -f"},
		"a certificate":  {write(t, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600), "ssh-keygen -p -f"},
		"a security key": {write(t, handleOfSecurityKey(t), 0o600), "is a security key"},
		"no agent":       {write(t, pub, 0o600), "SSH_AUTH_SOCK is not set"},
	} {
		_, err := LoadSigner(t.Context(), c.path, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// handleOfSecurityKey is the file id_ed25519_sk, up to where its key begins
// (PROTOCOL.key, PROTOCOL.u2f).
func handleOfSecurityKey(t *testing.T) []byte {
	t.Helper()
	w := struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, newToken(t).public.Marshal(), make([]byte, 64)}
	return pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), ssh.Marshal(w)...)})
}
