package signature

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// An Ask returns the passphrase of a key, as the person typed it. It is called at
// most once, and what it returns is overwritten after use.
type Ask func(ctx context.Context) ([]byte, error)

const (
	securityKey = "is a security key, which only an ssh-agent signs with: `ssh-add %s`, and name %s.pub"
	pubSuffix   = ".pub"
	maxKey      = 64 << 10 // bytes; an RSA key of 16384 bits has some 13 KiB
)

// LoadSigner returns what signs with the key in a file: a private key that nobody
// else may read (of OpenSSH, or PEM), or a public one whose private half an
// ssh-agent has or, as with ssh-keygen, the file without .pub. If an agent has a
// key that is encrypted, ask isn't called; a nil ask refuses it.
func LoadSigner(ctx context.Context, path string, ask Ask) (*Signer, error) {
	s, err := load(ctx, path, ask)
	if err == nil {
		err = checkKey(s.public)
	}
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return s, nil
}

func load(ctx context.Context, path string, ask Ask) (*Signer, error) {
	f, err := openFile(path, maxKey)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(f.content); block != nil {
		if f.mode.Perm()&0o077 != 0 {
			return nil, fmt.Errorf("others may read it (mode %#o): `chmod 600 %s`, and think of whether they have", f.mode.Perm(), path)
		}
		return private(ctx, path, f.content, block, ask)
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey(f.content)
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is neither a private key nor a public one")
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	s, err := ofAgent(ctx, key)
	if half, ok := strings.CutSuffix(path, pubSuffix); ok && err != nil && ctx.Err() == nil {
		return besides(ctx, half, key, ask, err)
	}
	return s, err
}

// besides loads the private half of a public key that no agent has (noAgent says why).
func besides(ctx context.Context, half string, public ssh.PublicKey, ask Ask, noAgent error) (*Signer, error) {
	f, err := openFile(half, maxKey)
	if err != nil {
		return nil, noAgent
	}
	if block, _ := pem.Decode(f.content); block == nil {
		return nil, noAgent
	}
	s, err := load(ctx, half, ask)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(s.public.Marshal(), public.Marshal()) {
		return nil, fmt.Errorf("%s is not its private half", half)
	}
	return s, nil
}

// private loads a private key.
func private(ctx context.Context, path string, text []byte, block *pem.Block, ask Ask) (*Signer, error) {
	if k := publicHalf(block); k != nil && strings.HasPrefix(k.Type(), "sk-") {
		return nil, fmt.Errorf(securityKey, path, path)
	}
	key, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return ofProcess(path, key, err)
	}
	if locked.PublicKey != nil {
		if s, err := ofAgent(ctx, locked.PublicKey); err == nil {
			return s, nil
		}
	}
	return unlock(ctx, path, text, ask)
}

// publicHalf is the public key that an OpenSSH private key has in clear, or nil.
func publicHalf(block *pem.Block) ssh.PublicKey {
	raw, ok := bytes.CutPrefix(block.Bytes, []byte("openssh-key-v1\x00"))
	var w struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public               []byte
		Rest                 []byte `ssh:"rest"`
	}
	if !ok || ssh.Unmarshal(raw, &w) != nil {
		return nil
	}
	k, err := ssh.ParsePublicKey(w.Public)
	if err != nil {
		return nil
	}
	return k
}

// unlock loads a key that is encrypted.
func unlock(ctx context.Context, path string, text []byte, ask Ask) (*Signer, error) {
	if ask == nil {
		return nil, errors.New("it is encrypted, and nobody can be asked for the passphrase: `ssh-add` it, or sign with a key without one")
	}
	pass, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	key, err := ssh.ParsePrivateKeyWithPassphrase(text, pass)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, errors.New("that is not its passphrase")
	}
	return ofProcess(path, key, err)
}

// ofProcess signs with a key in this process' memory, if it could be parsed.
func ofProcess(path string, key ssh.Signer, err error) (*Signer, error) {
	if err != nil {
		return nil, fmt.Errorf("%w (`ssh-keygen -p -f %s` rewrites what OpenSSH can read)", err, path)
	}
	as, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("keys of type %q can't be used", key.PublicKey().Type())
	}
	return &Signer{key.PublicKey(), func(_ context.Context, data []byte, algorithm string) (*ssh.Signature, error) {
		return as.SignWithAlgorithm(rand.Reader, data, algorithm)
	}}, nil
}

// A file is what there is to know about one.
type file struct {
	content []byte
	mode    fs.FileMode
}

// openFile reads a regular file of at most limit bytes. It waits for no pipe.
func openFile(path string, limit int64) (file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return file{}, err
	}
	defer func() { _ = f.Close() }()
	return readFile(f, limit)
}

func readFile(f *os.File, limit int64) (file, error) {
	fi, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > limit {
		return file{}, fmt.Errorf("it is not a regular file of at most %d KiB", limit>>10)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return file{b, fi.Mode()}, err
}
