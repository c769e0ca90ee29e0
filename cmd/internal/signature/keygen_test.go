package signature

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const alice = "alice@example.com"

var message = []byte("{\"format\":\"blast plan\"}\n")

// run runs a program of OpenSSH, which has to be there: what is tested is that both
// understand each other.
func run(t *testing.T, stdin []byte, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Env = append([]string{"SSH_ASKPASS_REQUIRE=never"}, os.Environ()...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(t, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s(Debian's package openssh-client has it)", name, strings.Join(args, " "), err, out)
	}
	return out
}

// noAgent hides the agent of who runs the tests.
func noAgent(t *testing.T) { t.Helper(); t.Setenv("SSH_AUTH_SOCK", "") }

// newKey makes a key with ssh-keygen and returns the path of its private half.
func newKey(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	if !slices.Contains(args, "-N") {
		args = append(args, "-N", "")
	}
	must(t, "ssh-keygen", append([]string{"-q", "-C", "a comment", "-f", path}, args...)...)
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, b []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// line is one of allowed signers, for the key at path.
func line(t *testing.T, who, options, path string) string {
	t.Helper()
	return strings.Join(strings.Fields(who+" "+options+" "+string(read(t, path+".pub"))), " ") + "\n"
}

func parse(t *testing.T, text string) AllowedSigners {
	t.Helper()
	a, err := ParseAllowedSigners([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return a
}

func sign(t *testing.T, path string, ask Ask) []byte {
	t.Helper()
	s, err := LoadSigner(t.Context(), path, ask)
	if err != nil {
		t.Fatal(err)
	}
	armored, err := Sign(t.Context(), s, Namespace, message)
	if err != nil {
		t.Fatal(err)
	}
	return armored
}

// keygenVerifies asks the real ssh-keygen.
func keygenVerifies(t *testing.T, armored, msg []byte, namespace, allowed, who string, at time.Time) error {
	t.Helper()
	out, err := run(t, msg, "ssh-keygen", "-Y", "verify", "-n", namespace, "-I", who, "-f", write(t, []byte(allowed), 0o600),
		"-s", write(t, armored, 0o600), "-O", "verify-time="+at.UTC().Format("20060102150405")+"Z")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func keygenSigns(t *testing.T, path, namespace string, args ...string) []byte {
	t.Helper()
	file := write(t, message, 0o600)
	must(t, "ssh-keygen", append(append([]string{"-Y", "sign", "-q", "-n", namespace, "-f", path}, args...), file)...)
	return read(t, file+".sig")
}

var kinds = map[string][]string{
	"ed25519":   {"-t", "ed25519"},
	"ecdsa 256": {"-t", "ecdsa", "-b", "256"},
	"ecdsa 384": {"-t", "ecdsa", "-b", "384"},
	"ecdsa 521": {"-t", "ecdsa", "-b", "521"},
	"rsa 2048":  {"-t", "rsa", "-b", "2048"},
	"rsa 4096":  {"-t", "rsa", "-b", "4096"},
}

func TestSSHKeygenAcceptsOurs(t *testing.T) {
	noAgent(t)
	for name, args := range kinds {
		t.Run(name, func(t *testing.T) {
			key := newKey(t, args...)
			armored, allowed := sign(t, key, nil), line(t, alice, "", key)
			if err := keygenVerifies(t, armored, message, Namespace, allowed, alice, time.Now()); err != nil {
				t.Errorf("ssh-keygen refuses: %v", err)
			}
			if err := keygenVerifies(t, armored, append(message, '!'), Namespace, allowed, alice, time.Now()); err == nil {
				t.Error("ssh-keygen accepts another message: does it look at all?")
			}
		})
	}
}

func TestWeAcceptSSHKeygens(t *testing.T) {
	noAgent(t)
	for name, args := range kinds {
		for _, hash := range []string{"sha256", "sha512"} {
			t.Run(name+" "+hash, func(t *testing.T) {
				key := newKey(t, args...)
				armored, allowed := keygenSigns(t, key, Namespace, "-O", "hashalg="+hash), parse(t, line(t, alice, "", key))
				who, err := Verify(armored, message, Namespace, allowed, time.Now())
				if err != nil || who != alice {
					t.Errorf("Verify = %q, %v", who, err)
				}
				if _, err := Verify(armored, append(message, '!'), Namespace, allowed, time.Now()); err == nil {
					t.Error("another message is accepted")
				}
			})
		}
	}
}

// Ed25519 signs the same in the same way each time, so both write the same file.
func TestFileIsTheSame(t *testing.T) {
	noAgent(t)
	key := newKey(t, "-t", "ed25519")
	if ours, theirs := sign(t, key, nil), keygenSigns(t, key, Namespace); !bytes.Equal(ours, theirs) {
		t.Errorf("ours:\n%s\nssh-keygen's:\n%s", ours, theirs)
	}
}

func TestSignNeedsANamespace(t *testing.T) {
	noAgent(t)
	s, err := LoadSigner(t.Context(), newKey(t, "-t", "ed25519"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(t.Context(), s, "", message); err == nil {
		t.Error("signed for everything")
	}
	if !strings.HasPrefix(s.Fingerprint(), "SHA256:") {
		t.Errorf("fingerprint %q", s.Fingerprint())
	}
}

// typed is a person who types pass.
func typed(pass string, times *int) Ask {
	return func(context.Context) ([]byte, error) { *times++; return []byte(pass), nil }
}
