package signature

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// newAgent starts a real ssh-agent, which listens when its parent ends.
func newAgent(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-") // a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	out := must(t, "ssh-agent", "-a", socket)
	m := regexp.MustCompile(`SSH_AGENT_PID=(\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("ssh-agent says %q", out)
	}
	pid, _ := strconv.Atoi(m[1])
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGTERM) })
	t.Setenv("SSH_AUTH_SOCK", socket)
}

func TestAgentSigns(t *testing.T) {
	newAgent(t)
	for name, args := range kinds {
		t.Run(name, func(t *testing.T) {
			key := newKey(t, args...)
			must(t, "ssh-add", "-q", key)
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
			armored, allowed := sign(t, key+".pub", nil), line(t, alice, "", key)
			if err := keygenVerifies(t, armored, message, Namespace, allowed, alice, time.Now()); err != nil {
				t.Errorf("ssh-keygen refuses: %v", err)
			}
			if who, err := Verify(armored, message, Namespace, parse(t, allowed), time.Now()); err != nil || who != alice {
				t.Errorf("Verify = %q, %v", who, err)
			}
		})
	}
}

// A person whose agent has the key isn't asked for its passphrase.
func TestAgentHasTheEncryptedKey(t *testing.T) {
	newAgent(t)
	key := newKey(t, "-t", "ed25519", "-N", "a secret")
	script := write(t, []byte("#!/bin/sh\necho a secret\n"), 0o700)
	t.Setenv("SSH_ASKPASS", script)
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	asked := 0
	sign(t, key, typed("a secret", &asked))
	if asked != 1 {
		t.Fatalf("asked %d times while the agent is empty", asked)
	}
	must(t, "ssh-add", "-q", key)
	sign(t, key, typed("a secret", &asked))
	if asked != 1 {
		t.Errorf("asked, though the agent has the key")
	}
}

// As with ssh-keygen, a public key stands for its file without .pub, too.
func TestPublicKeyBesidesPrivate(t *testing.T) {
	for _, agent := range []func(*testing.T){newAgent, noAgent} {
		agent(t)
		key := newKey(t, "-t", "ed25519")
		sign(t, key+".pub", nil)
		if err := os.Rename(newKey(t, "-t", "ed25519"), key); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSigner(t.Context(), key+".pub", nil); err == nil || !strings.Contains(err.Error(), "not its private half") {
			t.Errorf("the private half of another key: %v", err)
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadSigner(t.Context(), key+".pub", nil); err == nil {
			t.Error("signs with a key that nobody has")
		}
	}
}

func TestAgentIsGone(t *testing.T) {
	key := newKey(t, "-t", "ed25519")
	pub := write(t, read(t, key+".pub"), 0o644)
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "none"))
	if _, err := LoadSigner(t.Context(), pub, nil); err == nil || !strings.Contains(err.Error(), "ask ssh-agent") {
		t.Errorf("no socket: %v", err)
	}
	newAgent(t)
	if _, err := LoadSigner(t.Context(), pub, nil); err == nil || !strings.Contains(err.Error(), "it doesn't have key SHA256:") {
		t.Errorf("no key: %v", err)
	}
	must(t, "ssh-add", "-q", key)
	s, err := LoadSigner(t.Context(), pub, nil)
	if err != nil {
		t.Fatal(err)
	}
	must(t, "ssh-add", "-q", "-D")
	if _, err := Sign(t.Context(), s, Namespace, message); err == nil {
		t.Error("an agent without keys signs")
	}
}

// listen is an agent of the test's own.
func listen(t *testing.T, serve func(net.Conn)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(); _ = os.RemoveAll(dir) })
	t.Setenv("SSH_AUTH_SOCK", l.Addr().String())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

// An agent that doesn't answer is left when the person presses Ctrl-C.
func TestDeafAgentCanBeLeft(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted")
	listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // the question has come
		cancel(reason)
	})
	if _, err := LoadSigner(ctx, write(t, read(t, newKey(t, "-t", "ed25519")+".pub"), 0o644), nil); !errors.Is(err, reason) {
		t.Errorf("LoadSigner: %v", err)
	}
}

// deafToFlags is an agent of before 2017, which doesn't know of flags.
type deafToFlags struct{ agent.ExtendedAgent }

func (a deafToFlags) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return a.Sign(key, data)
}

func TestOldAgentSignsWithSHA1(t *testing.T) {
	noAgent(t)
	path := newKey(t, "-t", "rsa", "-b", "2048")
	raw, err := ssh.ParseRawPrivateKey(read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	ring, ok := agent.NewKeyring().(agent.ExtendedAgent)
	if !ok {
		t.Fatal("no keyring")
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
		t.Fatal(err)
	}
	listen(t, func(c net.Conn) { _ = agent.ServeAgent(deafToFlags{ring}, c) })
	s, err := LoadSigner(t.Context(), path+".pub", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(t.Context(), s, Namespace, message); err == nil || !strings.Contains(err.Error(), `a signature "ssh-rsa"`) {
		t.Errorf("Sign: %v", err)
	}
}

// A token does what a security key does (PROTOCOL.u2f), with a key in memory.
type token struct {
	agent.ExtendedAgent
	public  ssh.PublicKey
	private ed25519.PrivateKey
	flags   byte // 1: a person was there
}

const application = "ssh:"

func newToken(t *testing.T) *token {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, application}))
	if err != nil {
		t.Fatal(err)
	}
	return &token{public: key, private: private, flags: 1}
}

func (k *token) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: k.public.Type(), Blob: k.public.Marshal()}}, nil
}

func (k *token) SignWithFlags(_ ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	app, msg, rest := sha256.Sum256([]byte(application)), sha256.Sum256(data), []byte{k.flags, 0, 0, 0, 7}
	signed := append(append(append([]byte{}, app[:]...), rest...), msg[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.private, signed), Rest: rest}, nil
}

// A security key signs by an agent, and its signatures are those that ssh-keygen knows.
func TestSecurityKey(t *testing.T) {
	k := newToken(t)
	listen(t, func(c net.Conn) { _ = agent.ServeAgent(k, c) })
	pub := ssh.MarshalAuthorizedKey(k.public)
	allowed := alice + " " + string(pub)
	armored := sign(t, write(t, pub, 0o644), nil)
	if err := keygenVerifies(t, armored, message, Namespace, allowed, alice, time.Now()); err != nil {
		t.Errorf("ssh-keygen refuses: %v", err)
	}
	if who, err := Verify(armored, message, Namespace, parse(t, allowed), time.Now()); err != nil || who != alice {
		t.Errorf("Verify = %q, %v", who, err)
	}
	k.flags = 0 // nobody touched it
	s, err := LoadSigner(t.Context(), write(t, pub, 0o644), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(t.Context(), s, Namespace, message); err == nil {
		t.Error("signed though nobody was there")
	}
}
