package hunt_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blast.example/blast/testfixtures/hunt"
)

const value = "kX9/+ &ü%qP7w\"Lm2\\zR4"

// Each way to write the value down is seen, wherever it stands.
func TestFinds(t *testing.T) {
	q := hunt.For("it", value)
	sum := sha256.Sum256([]byte(value))
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"raw": value, "url": url.QueryEscape(value), "hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"base64": base64.StdEncoding.EncodeToString([]byte(value)), "in base64": base64.StdEncoding.EncodeToString([]byte("TOKEN=" + value + "&x")),
		"in base64, shifted": base64.URLEncoding.EncodeToString([]byte("TOKEN:=" + value + "&x")), "in base64, twice": base64.RawStdEncoding.EncodeToString([]byte("TOKEN::=" + value)),
		"hash": hex.EncodeToString(sum[:]), "hash, raw": string(sum[:]),
	} {
		for _, around := range []string{"", "\x00x", strings.Repeat("y", 3<<20)} {
			if q.In([]byte(around+text+around)) == "" {
				t.Errorf("%s is not found", what)
			}
		}
	}
	if plain := hunt.For("it", "kX9qP7wLm2zR4"); plain.In(quoted) != "" {
		t.Error("something else is found")
	}
	if how := q.In([]byte(strings.ReplaceAll(value, "q", "r"))); how != "" {
		t.Error("something else is found", how)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	q := hunt.For("it", "kX9qP7wLm2zR4hT6")
	if found, read, err := q.Files(dir); len(found) != 0 || read != 0 || err != nil {
		t.Fatal(found, read, err)
	}
	write := func(name string, at int64) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("kX9qP7wLm2zR4hT6"), at); err != nil {
			t.Fatal(err)
		}
		_ = f.Truncate(at + 1<<30)
		_ = f.Close()
	}
	for name, at := range map[string]int64{"start": 0, "border": 1<<20 - 3, "beyond": 1<<20 + 70, "hole": 5 << 30} {
		write(name, at)
	}
	for _, err := range []error{os.Symlink("/kX9qP7wLm2zR4hT6", filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "kX9qP7wLm2zR4hT6"), 0o755), os.WriteFile(filepath.Join(dir, "none"), []byte("kX9qP7wLm2zR4h"), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	found, read, err := q.Files(dir)
	if len(found) != 6 || read != 5 || err != nil {
		t.Error(found, read, err)
	}
}

func TestProcesses(t *testing.T) {
	q := hunt.For("it", "kX9qP7wLm2zR4hT6"+t.Name())
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	cmd.Env = []string{"A=kX9qP7wLm2zR4hT6" + t.Name()}
	other := exec.CommandContext(t.Context(), "sh", "-c", "sleep 60 # kX9qP7wLm2zR4hT6"+t.Name()+"\ntrue")
	for _, c := range []*exec.Cmd{cmd, other} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	}
	found, err := q.Processes()
	seen := map[int]string{}
	for _, p := range found {
		seen[p.PID] += p.File
	}
	if err != nil || seen[cmd.Process.Pid] != "environ" || seen[other.Process.Pid] != "cmdline" {
		t.Errorf("%+v, %v", found, err)
	}
}
