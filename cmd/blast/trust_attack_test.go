package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"blast.example/blast/cmd/internal/signature"
	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/state"
)

// hasty is an agent that lets somebody write a plan of their own whenever it is asked.
type hasty struct {
	agent.ExtendedAgent
	write func()
}

func (h hasty) List() ([]*agent.Key, error) { h.write(); return h.ExtendedAgent.List() }

func (h hasty) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	h.write()
	return h.ExtendedAgent.SignWithFlags(key, data, flags)
}

// agentWith serves an agent with a new key, and returns the public half.
func agentWith(t *testing.T, write func()) []byte {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ring, ok := agent.NewKeyring().(agent.ExtendedAgent)
	if !ok {
		t.Fatal("no keyring")
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "agent-") // a socket's path has room for 107 bytes
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
			go func() { _ = agent.ServeAgent(hasty{ring, write}, c) }()
		}
	}()
	return ssh.MarshalAuthorizedKey(signer.PublicKey())
}

// A plan lies where code in a sandbox may write, also while its person types a
// passphrase: what was planned is signed, and nothing else.
func TestSignsWhatWasPlanned(t *testing.T) {
	t.Chdir(t.TempDir())
	evil := []byte("another plan\n")
	pub := agentWith(t, func() { _ = os.WriteFile("next.plan", evil, 0o600) })
	put(t, "key.pub", string(pub))
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	p := plan.Plan{Version: plan.FormatVersion, Env: "default"}
	cmd := planCmd{Out: "next.plan", SignKey: "key.pub"}
	if err := cmd.save(t.Context(), newUI(Globals{Progress: "plain"}, null, null, null), &Globals{}, p); err != nil {
		t.Fatal(err)
	}
	want, err := encodePlan(p)
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := signature.ParseAllowedSigners(append([]byte("ann@example.com "), pub...))
	if err != nil {
		t.Fatal(err)
	}
	sig := []byte(read(t, "next.plan.sig"))
	if _, err := signature.Verify(sig, want, signature.Namespace, allowed, time.Now()); err != nil {
		t.Errorf("what was planned is not signed: %v", err)
	}
	if _, err := signature.Verify(sig, evil, signature.Namespace, allowed, time.Now()); err == nil {
		t.Error("what somebody else wrote is signed")
	}
	if read(t, "next.plan") != string(want) {
		t.Error("what somebody else wrote is saved")
	}
}

// TestEmptyFlagsAreRefused: a flag whose value comes from a variable that nobody set
// doesn't mean that nothing is expected.
func TestEmptyFlagsAreRefused(t *testing.T) {
	t.Chdir(t.TempDir()) // without blast.hcl, what gets past the flags ends with another code
	for _, flags := range [][]string{
		{"apply", "--expect-digest", ""},
		{"apply", "--expect-digest="},
		{"apply", "--require-signature", "--signer", "", "p.plan"},
		{"apply", "--require-signature", "--allowed-signers=", "p.plan"},
		{"plan", "--fail-on", ""},
		{"plan", "--out="},
	} {
		if got := quietly(t, flags...); got != exitUsage {
			t.Errorf("blast %q: exit code %d, want %d", flags, got, exitUsage)
		}
	}
	if got := quietly(t, "apply", "--expect-digest", "sha256:0"); got == exitUsage {
		t.Error("a digest is taken for none")
	}
}

// TestSignersThatAnotherSandboxWrites: a list of signers is none if the sandbox of any
// environment of blast.hcl may write to it.
func TestSignersThatAnotherSandboxWrites(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "allowed")
	put(t, list, "ann@example.com "+string(agentWith(t, func() {})))
	shared := plan.NewObject(filesystem.TreeAddr, filesystem.Tree{Mounts: []filesystem.Mount{{Target: "/w", Type: filesystem.Bind, Source: dir, Access: "rw"}}}, nil)
	f := trustFlags{RequireSignature: true, AllowedSigners: list}
	for name, mine := range map[string]string{"its own": "a", "another one's": "b"} {
		all := []config.Environment{{Name: "a", Objects: []plan.Object{shared}}, {Name: "b"}}
		conf := all[mine[0]-'a']
		m := &planning{env: state.NewEnv(t.TempDir(), mine, os.Geteuid(), os.Getegid()), p: &project{file: &config.File{Environments: all}, conf: conf}}
		objs, err := m.everything()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.signature(nil, "p.plan", nil, os.Geteuid(), objs); err == nil || !strings.Contains(err.Error(), "code in the sandbox") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.signature(nil, filepath.Join(dir, "p.plan"), nil, os.Geteuid(), nil); err == nil || !strings.Contains(err.Error(), "is not signed") {
		t.Errorf("control: %v", err)
	}
}
