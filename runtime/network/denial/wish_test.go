package denial

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWish(t *testing.T) {
	for want, d := range map[string]Denial{
		"api.github.com:443":   {Op: Resolve, Host: "API.github.com."},
		"db.example:5432":      {Op: Resolve, Host: "db.example", Meant: 5432},
		"db.example:80":        {Op: Connect, Host: "db.example", Port: 80, Meant: 5432, Protocol: "tcp"},
		"192.0.2.1:22":         {Op: Connect, Addr: "192.0.2.1", Port: 22, Protocol: "tcp"},
		"192.0.2.1/icmp":       {Op: Connect, Addr: "192.0.2.1", Protocol: "icmp"},
		"[2001:db8::1]:53/udp": {Op: Connect, Addr: "2001:db8::1", Port: 53, Protocol: "udp"},
	} {
		if got := d.Wish(); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
		if got := d.AllowCommand("-C", "/a b", "-e", "dev"); got != "blast -C '/a b' -e dev allow "+want && !strings.Contains(want, "[") {
			t.Errorf("%q", got)
		}
		d.Final = true
		if got := d.AllowCommand(); got != "" {
			t.Errorf("no rule would help: %q", got)
		}
	}
	for what, d := range map[string]Denial{
		"no host name": {Op: Resolve, Host: "a b"}, "wildcard": {Op: Resolve, Host: "*.com"}, "command": {Op: Resolve, Host: "$(reboot).example"}, "flag": {Op: Resolve, Host: "--yes"},
		"service": {Op: Resolve, Host: "_ldap._tcp.example"}, "like an address": {Op: Resolve, Host: "1.2.3.4"}, "ping of a name": {Op: Connect, Host: "a.example", Protocol: "icmp"}, "another environment": {Op: Resolve, Host: "backend.blast.internal"},
		"other protocol": {Op: Connect, Addr: "192.0.2.1", Port: 1, Protocol: "protocol 132"}, "let through": {Op: Resolve, Host: "a.example", Allowed: true}, "nothing": {},
	} {
		if got := d.AllowCommand(); got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// TestShownTellsNothingOfTheHost: of what is recorded the sandbox sees its own part.
func TestShownTellsNothingOfTheHost(t *testing.T) {
	l, _ := openLog(t)
	path := filepath.Join(t.TempDir(), "shown")
	if err := l.ShowAt(path, "-e", "dev"); err != nil {
		t.Fatal(err)
	}
	uid := uint32(987001)
	d := Denial{
		Op: Connect, Host: "a.example", Port: 443, Protocol: "tcp", PID: 7, HostPID: 987002, UID: &uid, Command: "curl", Script: "/script.py", Where: "app.py:1",
		Reason: "192.168.9.9 is this host's own address", Told: "it leads nowhere", Place: "/home/ada/blast.hcl:9",
	}
	if err := l.Add(d); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"98700", "192.168", "own", "/home", "script"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("%q is in %s", secret, b)
		}
	}
	var s Shown
	if err := json.Unmarshal(b, &s); err != nil || s.PID != 7 || s.Reason != "it leads nowhere" || s.Where != "app.py:1" || s.Allow != "blast -e dev allow a.example:443" || s.Time.IsZero() {
		t.Errorf("%v %+v", err, s)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
}

// TestShownIsBounded: it is shortened in place, as it is seen through a mount.
func TestShownIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shown")
	r, err := openRecord(path, 0o644, maxShown)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.f.Close() })
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		if err := r.add(Shown{Host: strings.Repeat("a", 200), PID: i}); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(path); err != nil || fi.Size() > maxShown || !os.SameFile(fi, before) {
			t.Fatalf("after %d: %v, %v", i, fi.Size(), err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	var first, last Shown
	if json.Unmarshal([]byte(lines[0]), &first) != nil || json.Unmarshal([]byte(lines[len(lines)-1]), &last) != nil || last.PID != 4999 || len(lines) < 100 {
		t.Errorf("%d lines from %+v to %+v", len(lines), first, last)
	}
}
