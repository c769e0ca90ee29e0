package resolve_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/network"
	"blast.example/blast/testfixtures/pypi"
)

// TestConflict is what people read when nothing fits.
func TestConflict(t *testing.T) {
	for name, c := range map[string]struct {
		index []string
		asks  []string
		want  string
	}{
		"two lines": {[]string{"a 1", "a 2"}, []string{"a<2", "a>=2"}, `requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a<2 and requirements.txt:2 asks for a>=2, no versions fit.
Loosen or remove one of requirements.txt:1 (a<2) and requirements.txt:2 (a>=2).
`},
		"a line and a project": {[]string{"flask 3: werkzeug>=3", "flask 2: werkzeug>=3", "werkzeug 3", "werkzeug 2"}, []string{"six", "flask", "werkzeug<3"}, `requirements.txt:2: No versions fit together
Because requirements.txt:2 asks for flask, every version of flask needs werkzeug>=3 and requirements.txt:3 asks for werkzeug<3, no versions fit.
Loosen or remove one of requirements.txt:2 (flask) and requirements.txt:3 (werkzeug<3).
`},
		"a constraint": {[]string{"a 1: b>=2", "b 2", "b 1"}, []string{"a", "-c b<2"}, `requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a, a==1 needs b>=2 and requirements.txt:2 allows only b<2, no versions fit.
Loosen or remove one of requirements.txt:1 (a) and requirements.txt:2 (b<2).
`},
		"a marker is no news": {[]string{`a 1: b>=2; python_version >= "3.8"`, "b 1"}, []string{"a"}, `requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a, a==1 needs b>=2 and there is no b>=2 (there is only 1), no versions fit.
Change or remove requirements.txt:1 (a).
`},
		"python": {[]string{"a 1 => >=3.13", "a 2 => >=3.14"}, []string{"a"}, `requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a, a==2 can't be used (it needs Python >=3.14) and a==1 can't be used (it needs Python >=3.13), no versions fit.
Change or remove requirements.txt:1 (a).
`},
		"machine": {[]string{"a 1 cp312-cp312-win_amd64", "a 2 cp312-cp312-win_amd64"}, []string{"a"}, `requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a and every version of a can't be used (no wheel for Python 3.12 on this machine), no versions fit.
Change or remove requirements.txt:1 (a).
`},
		"address": {[]string{"a 1: b @ https://x.example/b.whl"}, []string{"a"}, `requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a and a==1 can't be used (it needs b from an address, and Blast installs from indexes), no versions fit.
Change or remove requirements.txt:1 (a).
`},
	} {
		t.Run(name, func(t *testing.T) {
			_, root := serve(t, append(c.index, "six 1")...)
			if d := cmp.Diff(c.want, newSetup(t, root, c.asks...).fails(t)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNoSuchProject(t *testing.T) {
	_, root := serve(t, "a 1: gone>=2")
	s := newSetup(t, root, "a")
	want := fmt.Sprintf(`requirements.txt:1: No versions fit together
Because requirements.txt:1 asks for a, a==1 needs gone>=2 and there is no project gone (not in %s), no versions fit.
Change or remove requirements.txt:1 (a).
`, s.wishes.Index[0])
	if d := cmp.Diff(want, s.fails(t)); d != "" {
		t.Error(d)
	}
}

func TestBadRequirements(t *testing.T) {
	s := newSetup(t, "", "a @ https://x.example/a.whl", "b >> 2", `c; os_name ~= "posix"`)
	got := s.fails(t)
	for _, want := range []string{"requirements.txt:1: Requirement by path or URL is not supported\na is asked for from an address", "Write a and a version.",
		"requirements.txt:2: Invalid requirement\n", "requirements.txt:3: Invalid marker\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q:\n%s", want, got)
		}
	}
}

// TestHosts: Blast obeys the environment's own rules, and says what to write.
func TestHosts(t *testing.T) {
	rule := func(change func(*network.Egress)) network.Egress {
		e := network.Egress{Name: "pypi", Domains: []string{"pypi.org", "*.pythonhosted.org"}, Ports: []uint16{443}, Protocol: "tcp", During: []string{"apply"}}
		change(&e)
		return e
	}
	const head = "blast.hcl:7: Installing needs a host that no rule allows\nPackages come from "
	both := head + `pypi.org:443 and files.pythonhosted.org:443, and no egress rule lets Blast connect there while it installs. Add to the network block:

  egress "registry" {
    domains = ["pypi.org", "files.pythonhosted.org"]
    ports   = [443]
    during  = ["apply"]
  }
`
	for name, c := range map[string]struct {
		index  string
		egress []network.Egress
		want   string
	}{
		"no rule":      {"https://pypi.org/simple", nil, both},
		"another name": {"https://PyPI.org./simple", []network.Egress{rule(func(e *network.Egress) { e.Domains = []string{"evilpypi.org", "pypi.org.evil.example", "*.pypi.org"} })}, both},
		"udp":          {"https://pypi.org/simple", []network.Egress{rule(func(e *network.Egress) { e.Protocol = "udp" })}, both},
		"the apex of a wildcard": {"https://pythonhosted.org/simple", []network.Egress{rule(func(*network.Egress) {})}, head + `pythonhosted.org:443, and no egress rule lets Blast connect there while it installs. Add to the network block:

  egress "registry" {
    domains = ["pythonhosted.org"]
    ports   = [443]
    during  = ["apply"]
  }
`},
		"an address": {"http://192.0.2.7:8080/simple", []network.Egress{rule(func(e *network.Egress) { e.Name = "registry"; e.Domains = []string{"192.0.2.7"} })}, head + `192.0.2.7:8080, and no egress rule lets Blast connect there while it installs. Add to the network block:

  egress "registry-2" {
    cidrs  = ["192.0.2.7/32"]
    ports  = [8080]
    during = ["apply"]
  }
`},
		"only while running": {"https://pypi.org/simple", []network.Egress{rule(func(e *network.Egress) { e.During = []string{"run"} })},
			`The rule "pypi" names pypi.org, but is for run; add "apply" to during.`},
		"another port": {"https://pypi.org:8443/simple", []network.Egress{rule(func(*network.Egress) {})}, `The rule "pypi" names pypi.org, but has not port 8443; add it to ports.`},
		"expired": {"https://pypi.org/simple", []network.Egress{rule(func(e *network.Egress) { e.Expires = "2030-01-01" })},
			`The rule "pypi" names pypi.org, but expired after 2030-01-01; if it is still needed, set a later day.`},
		"a day that is none": {"https://pypi.org/simple", []network.Egress{rule(func(e *network.Egress) { e.Expires = "2030-13-01" })}, "expired after 2030-13-01"},
		"no host":            {"https:///simple", nil, "is no http or https address with a host"},
		"another scheme":     {"ftp://pypi.org:21/simple", nil, "is no http or https address with a host"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, "", "a")
			s.wishes.Index, s.policy.Egress = []string{c.index}, c.egress
			got := s.fails(t)
			if strings.HasPrefix(c.want, head) {
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			} else if !strings.Contains(got, c.want) {
				t.Errorf("without %q:\n%s", c.want, got)
			}
		})
	}
}

// TestRulesThatAllow: on their last day, by audit, by an address in a CIDR.
func TestRulesThatAllow(t *testing.T) {
	_, root := serve(t, "a 1")
	s := newSetup(t, root, "a")
	s.policy.Egress[0].Expires = "2030-01-02"
	s.must(t)
	s.now = s.now.Add(24 * time.Hour)
	if got := s.fails(t); !strings.Contains(got, "expired after 2030-01-02") {
		t.Error(got)
	}
	s.policy = network.Policy{Default: "audit"}
	s.must(t)
}

// TestFilesElsewhere: a page may send Blast to no host that no rule names, for
// metadata or by a lock.
func TestFilesElsewhere(t *testing.T) {
	_, files := serve(t, "a 1")
	s := newSetup(t, files, "a")
	set := s.keepLock(t)
	own := strings.TrimSuffix(strings.TrimPrefix(files, "http://"), "/simple/")
	s.writeLock(t, strings.ReplaceAll(set.Lock.Content, own+"/files", "evil.example/files"))
	got := s.fails(t)
	for _, want := range []string{"Packages come from evil.example:80,", `domains = ["evil.example"]`, "ports   = [80]"} {
		if !strings.Contains(got, want) {
			t.Errorf("without %q:\n%s", want, got)
		}
	}
}

func TestLockThatIsNone(t *testing.T) {
	_, root := serve(t, "a 1")
	for name, c := range map[string]struct {
		do   func(s *setup) error
		want string
	}{
		"no TOML":        {func(s *setup) error { s.writeLock(t, "<<<<<<< HEAD\n"); return nil }, "pylock.blast.toml:1: Invalid lock file\nlock file: line 1"},
		"later format":   {func(s *setup) error { s.writeLock(t, `lock-version = "2.0"`); return nil }, "Restore it from version control, or remove it to resolve anew."},
		"too large":      {func(s *setup) error { s.writeLock(t, strings.Repeat("#", 17<<20)); return nil }, "at most 16777216 are read"},
		"a folder":       {func(s *setup) error { return os.Mkdir(s.lockFile(), 0o700) }, "Can't read lock file\npylock.blast.toml is no file."},
		"a pipe":         {func(s *setup) error { return syscall.Mkfifo(s.lockFile(), 0o600) }, "pylock.blast.toml is no file"},
		"a link outside": {func(s *setup) error { return os.Symlink("/etc/hostname", s.lockFile()) }, "path escapes from parent"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetup(t, root, "a")
			if err := c.do(s); err != nil {
				t.Fatal(err)
			}
			if got := s.fails(t); !strings.Contains(got, c.want) {
				t.Errorf("without %q:\n%s", c.want, got)
			}
		})
	}
}

// TestLockThatLies: it says that it was made for the requirements, and holds
// something else. Then versions are chosen anew, and it is said.
func TestLockThatLies(t *testing.T) {
	_, root := serve(t, "a 3: b", "a 2: b", "b 1", "evil 1")
	s := newSetup(t, root, "a<3", "-c b<2")
	set := s.keepLock(t)
	lock := set.Lock.Content
	sum := set.Packages[0].SHA256
	head, _, _ := strings.Cut(lock, "[[packages]]\nname = \"b\"")
	_, fit, _ := strings.Cut(lock, "[tool.blast]")
	b := strings.TrimSuffix(strings.TrimPrefix(lock, head), "[tool.blast]"+fit)
	for name, c := range map[string]struct{ lock, why string }{
		"another version":   {strings.NewReplacer(`version = "2"`, `version = "3"`, "a-2-", "a-3-").Replace(lock), "requirements.txt:1 (a<3) is not met"},
		"another project":   {strings.NewReplacer(`name = "a"`, `name = "evil"`, "a-2-", "evil-2-").Replace(lock), "requirements.txt:1 (a<3) is not met"},
		"a foreign file":    {strings.ReplaceAll(lock, "a-2-py3-none-any.whl", "evil-1-py3-none-any.whl"), "a can't be installed (no wheel of it can be used: its file name is of another project or version)"},
		"less":              {head + "[tool.blast]" + fit, "b, which a needs, is not in it"},
		"twice":             {head + b + b + "[tool.blast]" + fit, "b is in it twice"},
		"no hash":           {strings.ReplaceAll(lock, sum, ""), "a can't be installed (no wheel of it can be used: it has no sha256)"},
		"a constraint":      {strings.NewReplacer(`name = "b"`+"\nversion = \"1\"", `name = "b"`+"\nversion = \"2\"", "b-1-", "b-2-").Replace(lock), "requirements.txt:2 (b<2) is not met"},
		"another machine's": {strings.ReplaceAll(lock, "a-2-py3-none-any", "a-2-py3-none-win_amd64"), "a has no wheel for this interpreter"},
	} {
		t.Run(name, func(t *testing.T) {
			s.writeLock(t, c.lock)
			set, diags := s.resolve(t)
			if diags.HasErrors() || pinned(set) != "a 2, b 1" || set.Packages[0].SHA256 != sum {
				t.Fatalf("%s; %s", pinned(set), text(diags))
			}
			want := "pylock.blast.toml:1: Lock file does not hold what it says\npylock.blast.toml was made for these requirements, and " + c.why + ": it was changed"
			if got := text(diags); !strings.Contains(got, want) {
				t.Errorf("without %q:\n%s", want, got)
			}
		})
	}
}

// TestHostileIndex: what an index says about its own versions is not believed
// blindly, and one bad version doesn't spoil the others.
func TestHostileIndex(t *testing.T) {
	x, root := serve(t, "a 1")
	good := pypi.Wheel{Name: "a", Version: "2"}
	evil := pypi.Wheel{Name: "evil", Version: "2"}
	if err := x.AddFile(good.Filename(), evil.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got := newSetup(t, root, "a").must(t); got != "a 1" {
		t.Errorf("took %s", got)
	}
	if got := newSetup(t, root, "a>1").fails(t); !strings.Contains(got, `a==2 can't be used (its metadata is of "evil" "2")`) {
		t.Error(got)
	}
	bad := pypi.Wheel{Name: "a", Version: "3", Requires: []string{"b >> 1"}}
	if err := x.Add(bad); err != nil {
		t.Fatal(err)
	}
	if got := newSetup(t, root, "a>2").fails(t); !strings.Contains(got, "its metadata has a requirement that can't be read") {
		t.Error(got)
	}
}

// TestEndlessIndex: every project needs another one.
func TestEndlessIndex(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/p%d", &n); err != nil {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, ".metadata") {
			_, _ = fmt.Fprintf(w, "Name: p%d\nVersion: 1\nRequires-Dist: p%d\n", n, n+1)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_, _ = fmt.Fprintf(w, `{"files": [{"filename": "p%d-1-py3-none-any.whl", "url": "/p%[1]d-1-py3-none-any.whl", "hashes": {"sha256": "%064d"}, "core-metadata": true}]}`, n, 0)
	}))
	defer srv.Close()
	got := newSetup(t, srv.URL, "p0").fails(t)
	if !strings.Contains(got, "more than 5000 projects need each other, which no real project does: the index makes up projects. Check the index in the python block") {
		t.Error(got)
	}
}

// TestMetadataWithAnotherHash ends everything: that is no bad version, but
// somebody who changes what is sent.
func TestMetadataWithAnotherHash(t *testing.T) {
	x, root := serve(t, "a 2", "a 1")
	x.Break("/files/a-2-py3-none-any.whl.metadata", pypi.Fault{Tamper: true})
	got := newSetup(t, root, "a").fails(t)
	if !strings.Contains(got, "a-2-py3-none-any.whl.metadata: the file has another hash than the index says. The index or the way to it is broken or tampered with") {
		t.Error(got)
	}
}

// TestLockReadsBack: whatever is locked can be read back as what it was.
func TestLockReadsBack(t *testing.T) {
	_, root := serve(t, `a 1: b[y]>=1; extra == "x"`, `b 1: c; extra == "y"`, "c 1.0+local.1")
	s := newSetup(t, root, "A[X]", "-c c<2")
	first := s.keepLock(t)
	again, diags := s.resolve(t)
	if len(diags) > 0 {
		t.Fatal(text(diags))
	}
	if d := cmp.Diff(first, again); d != "" {
		t.Error(d)
	}
	if pinned(again) != "a 1, b 1, c 1.0+local.1" {
		t.Error(pinned(again))
	}
	var direct []string
	for _, p := range again.Packages {
		if p.Direct {
			direct = append(direct, p.Name)
		}
	}
	if d := cmp.Diff([]string{"a"}, direct); d != "" {
		t.Error(d)
	}
}
