package clients

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"blast.example/blast/testfixtures/netlab"
	"blast.example/blast/testfixtures/pypi"
	"blast.example/blast/testfixtures/whole"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m.Run)) }

// Hosts of the test's internet. No rule names the forbidden one.
const (
	fourName      = "web.example"
	bothName      = "both.example"
	sixName       = "six.example"
	otherName     = "other.example"
	cutName       = "cut.example"
	forbiddenName = "forbidden.example"

	resolver = "9.9.9.9"
	web4     = "93.184.215.14"
	web6     = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
)

//go:embed scripts
var scripts embed.FS

// A world is the internet, and a project with a sandbox.
type world struct {
	t       *testing.T
	blast   *whole.Blast
	lab     *netlab.Lab
	dir     string // everybody may read it
	project string

	mu    sync.Mutex
	held  map[string]bool // who has a page without end
	begun *sync.Cond
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, held: map[string]bool{}}
	w.begun = sync.NewCond(&w.mu)
	w.blast = whole.New(t, map[string]string{"goclient": "testfixtures/clients/goclient"})
	dir, err := os.MkdirTemp("", "blast-clients-") // not t.TempDir: the sandbox's user must get through
	w.try(err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w.dir, w.project = dir, filepath.Join(dir, "project")
	w.try(os.Chmod(dir, 0o755), os.Mkdir(w.project, 0o755))
	w.internet()
	w.sandbox()
	return w
}

func (w *world) try(errs ...error) {
	w.t.Helper()
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) internet() {
	lab, err := netlab.New()
	w.try(err)
	w.t.Cleanup(lab.Close)
	w.lab = lab
	names, err := lab.ServeNames(resolver + ":53")
	w.try(err)
	for _, n := range []string{fourName, otherName, forbiddenName, "pypi.example", "git.example", "checked-db.example", "checked-ssh.example"} {
		names.Set(n, web4)
	}
	for _, n := range []string{bothName, cutName, "db.example", "cut-db.example", "ssh.example", "cut-ssh.example"} {
		names.Set(n, web6, web4)
	}
	names.Set(sixName, web6)
	hosts := w.hosts()
	for _, at := range []string{web4, "[" + web6 + "]"} {
		_, plain := lab.Serve(at+":80", hosts)
		_, secure := lab.ServeSecure(at+":443", hosts, fourName, bothName, sixName, otherName, cutName, "git.example", "pypi.example")
		w.try(plain, secure)
	}
	if there("psql") {
		w.postgres()
	}
	if there("ssh") {
		w.sshd()
	}
}

// hosts answers by the name that is asked for.
func (w *world) hosts() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", site())
	mux.Handle("git.example/", w.repository())
	mux.Handle("pypi.example/", w.index())
	mux.HandleFunc(cutName+"/{who}/endless", w.endless)
	mux.HandleFunc(cutName+"/{who}/endless/", w.endless)
	mux.HandleFunc(cutName+"/{who}/endless.git/info/refs", w.endless)
	return mux
}

// endless is a page without end; to git, references without end.
func (w *world) endless(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.held[r.PathValue("who")] = true
	w.begun.Broadcast()
	w.mu.Unlock()
	if r.PathValue("who") != "git" {
		rw.Header().Set("Content-Type", "text/html")
		each(rw, r, 1<<30, "line %d\n")
		return
	}
	rw.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	fmt.Fprint(rw, "001e# service=git-upload-pack\n0000")
	each(rw, r, 1<<30, "0045"+strings.Repeat("1", 40)+" refs/heads/branch-%08d\n")
}

// repository is one with a commit, that anybody may push to.
func (w *world) repository() http.Handler {
	root := filepath.Join(w.dir, "git")
	script := `set -e
git init -q --bare repository.git; git -C repository.git config http.receivepack true
git init -q work; cd work; echo begun > file; git add file
git -c user.name=a -c user.email=a@b.example commit -qm begun; git push -q ../repository.git HEAD`
	if there("git") {
		w.try(os.Mkdir(root, 0o755))
		cmd := exec.CommandContext(w.t.Context(), "sh", "-c", script)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "HOME="+root, "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			w.t.Fatalf("make a repository: %v\n%s", err, out)
		}
	}
	git, _ := exec.LookPath("git")
	return &cgi.Handler{Path: git, Args: []string{"http-backend"}, Dir: root, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root}}
}

func (w *world) index() http.Handler {
	x := pypi.New()
	w.try(x.Add(pypi.Wheel{Name: "demo", Version: "1.0", Files: map[string]string{"demo.py": "said = 'installed'\n"}}))
	return x
}

// sandbox makes the project and applies it.
func (w *world) sandbox() {
	all, err := fs.ReadDir(scripts, "scripts")
	w.try(err)
	for _, f := range all {
		b, err := scripts.ReadFile("scripts/" + f.Name())
		w.try(err, os.WriteFile(filepath.Join(w.project, f.Name()), b, 0o644))
	}
	b, err := os.ReadFile(filepath.Join(w.blast.Bin, "goclient"))
	w.try(err, os.WriteFile(filepath.Join(w.project, "goclient"), b, 0o755))
	w.try(os.Mkdir(filepath.Join(w.dir, "company"), 0o755), os.WriteFile(filepath.Join(w.dir, "company/ca.pem"), w.lab.Authority.PEM, 0o644))
	w.write(cutRule)
	w.t.Cleanup(func() {
		if out, err := w.blast.Command(w.project, "destroy", "--auto-approve").CombinedOutput(); err != nil {
			w.t.Errorf("destroy: %v\n%s", err, out)
		}
	})
	w.apply()
}

func (w *world) write(rules string) {
	w.try(os.WriteFile(filepath.Join(w.project, "blast.hcl"), fmt.Appendf(nil, policy, filepath.Join(w.dir, "company"), rules), 0o644))
}

func (w *world) apply() {
	w.t.Helper()
	if out, err := w.blast.Command(w.project, "apply", "--auto-approve").CombinedOutput(); err != nil {
		w.t.Fatalf("blast apply: %v\n%s", err, out)
	}
}

// run is a client's script in the sandbox.
func (w *world) run(c client, args ...string) *exec.Cmd {
	return w.blast.Command(w.project, append(append([]string{"run", "--"}, c.script...), args...)...)
}
