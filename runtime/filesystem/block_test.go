package filesystem

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
)

// project is a project with a few files, and the text of its blast.hcl.
func project(t *testing.T, inner string) string {
	t.Helper()
	dir := configtest.Project(t, "filesystem {\n"+inner+"\n}\n")
	for _, d := range []string{"src", ".blast/default", "secrets", ".git/hooks"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func tree(t *testing.T, dir string) Tree {
	t.Helper()
	objs, diags := configtest.Load(t, dir, Words{})
	if diags.HasErrors() {
		t.Fatalf("unexpected: %v", diags)
	}
	return configtest.Decode[Tree](t, objs, TreeAddr)
}

func (t Tree) at(target string) (Mount, bool) {
	i := slices.IndexFunc(t.Mounts, func(m Mount) bool { return m.Target == target })
	if i < 0 {
		return Mount{}, false
	}
	return t.Mounts[i], true
}

// own are the places that every sandbox has.
var own = []Mount{
	{Name: "home", Target: "/home/sandbox", Type: Layer, Exec: true},
	{Name: "var-tmp", Target: "/var/tmp", Type: Layer},
	{Name: "tmp", Target: "/tmp", Type: Tmpfs, Size: 256 << 20, Exec: true},
}

func TestDefaultShowsNothingOfTheProject(t *testing.T) {
	dir := project(t, "")
	want := Tree{Mounts: own, LayerSize: 5 << 30, Project: dir}
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Error(d)
	}
}

// A protection holds without a line, also for what is not there yet.
func TestWorkspaceIsProtected(t *testing.T) {
	dir := project(t, "workspace {\n  source = \".\"\n}")
	want := append(slices.Clone(own),
		Mount{Name: "workspace", Target: "/workspace", Type: Bind, Source: dir, Access: "rw", Exec: true},
		Mount{Name: "workspace.hide", Target: "/workspace/.blast", Type: Hide, Dir: true},
		Mount{Name: "workspace.hide", Target: "/workspace/.env", Type: Hide},
		Mount{Name: "workspace.read_only", Target: "/workspace/.git/commondir", Type: ReadOnly, Content: "./\n"},
		Mount{Name: "workspace.read_only", Target: "/workspace/.git/config.worktree", Type: ReadOnly},
		Mount{Name: "workspace.read_only", Target: "/workspace/.git/config", Type: ReadOnly},
		Mount{Name: "workspace.read_only", Target: "/workspace/.git/hooks", Type: ReadOnly, Dir: true},
		Mount{Name: "workspace.read_only", Target: "/workspace/blast.hcl", Type: ReadOnly},
		Mount{Name: lockMount, Target: "/workspace/pylock.blast.toml", Type: ReadOnly},
	)
	if d := cmp.Diff(want, tree(t, dir).Mounts); d != "" {
		t.Error(d)
	}
}

func TestListsOfTheWorkspace(t *testing.T) {
	dir := project(t, `workspace {
  source    = "."
  access    = "ro"
  hide      = ["secrets", "new-folder/", "new-file"]
  read_only = ["Makefile", ".env"]
  writable  = [".git/hooks"]
}`)
	got := tree(t, dir)
	for _, want := range []Mount{
		{Name: "workspace", Target: "/workspace", Type: Bind, Source: dir, Access: "ro", Exec: true},
		{Name: "workspace.hide", Target: "/workspace/secrets", Type: Hide, Dir: true},
		{Name: "workspace.hide", Target: "/workspace/new-folder", Type: Hide, Dir: true},
		{Name: "workspace.hide", Target: "/workspace/new-file", Type: Hide},
		{Name: "workspace.read_only", Target: "/workspace/Makefile", Type: ReadOnly},
		{Name: "workspace.hide", Target: "/workspace/.env", Type: Hide}, // hiding says more
	} {
		if m, _ := got.at(want.Target); m != want {
			t.Errorf("%s: %+v, want %+v", want.Target, m, want)
		}
	}
	if m, there := got.at("/workspace/.git/hooks"); there {
		t.Errorf("opened, and still protected: %+v", m)
	}
}

// A mount is refused if it would show what no line shows, or what can be changed
// into something else after a person has reviewed it.
// A mount of a part of the project shows the same files at another place: what is
// protected in the workspace is there, too.
func TestMountsOfTheProjectAreProtected(t *testing.T) {
	dir := project(t, `
  workspace {
    hide      = ["src/secret"]
    read_only = ["src/make/file"]
    writable  = [".git/config"]
  }
  mount "/src" {
    source = "src"
    access = "rw"
  }
  mount "/git" {
    source = ".git"
    access = "rw"
  }`)
	got := tree(t, dir)
	for target, typ := range map[string]string{"/src/secret": Hide, "/src/make/file": ReadOnly, "/git/hooks": ReadOnly, "/git/commondir": ReadOnly, "/git/config": ""} {
		if m, _ := got.at(target); m.Type != typ || m.Source != "" {
			t.Errorf("%s is %+v, want %q", target, m, typ)
		}
	}
	got = tree(t, project(t, `
  mount "/git" {
    source = ".git"
    access = "rw"
  }`))
	for _, target := range []string{"/git/hooks", "/git/config"} {
		if m, _ := got.at(target); m.Type != ReadOnly {
			t.Errorf("without a workspace %s is %+v", target, m)
		}
	}
	_, diags := configtest.Load(t, project(t, `
  workspace {
    read_only = ["src"]
  }
  mount "/src" {
    source = "src"
    access = "rw"
  }`), Words{})
	if len(diags) != 1 || diags[0].Summary != "Protected path" {
		t.Errorf("%v", diags)
	}
}

func TestSourcesAreValidated(t *testing.T) {
	outside, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	agents := t.TempDir()
	t.Setenv("SSH_AUTH_SOCK", agents+"/agent/ssh.1")
	t.Setenv("DOCKER_HOST", "unix://"+agents+"/rootless/docker.sock")
	for name, c := range map[string]struct {
		source string // {P} is the project, {O} a folder outside of it
		target string
		want   string // summary of the diagnostic; "" is accepted
	}{
		"outside":                  {"{O}", "/models", ""},
		"a folder of the project":  {"src", "/models", ""},
		"in the workspace":         {"{O}", "/workspace/models", ""},
		"file":                     {"{O}/file", "/srv/file", ""},
		"absent":                   {"{O}/absent", "/models", "Path doesn't exist"},
		"through a link":           {"{O}/link", "/models", "Path passes a symbolic link"},
		"through a linked parent":  {"{O}/link/below", "/models", "Path passes a symbolic link"},
		"link in the project":      {"outlink", "/models", "Path passes a symbolic link"},
		"upwards":                  {"../x", "/models", "Path leads upwards"},
		"upwards and down":         {"src/../src", "/models", "Path leads upwards"},
		"root":                     {"/", "/models", "Root of the host"},
		"proc":                     {"/proc/1", "/models", "Folder can't be mounted"},
		"sys":                      {"/sys", "/models", "Folder can't be mounted"},
		"devices":                  {"/dev/null", "/models", "Folder can't be mounted"},
		"other sandboxes":          {"/run/blast", "/models", "Folder can't be mounted"},
		"above other sandboxes":    {"/run", "/models", "Folder can't be mounted"},
		"the cache":                {"/var/cache/blast", "/models", "Folder can't be mounted"},
		"above the cache":          {"/var/cache", "/models", "Folder can't be mounted"},
		"docker's socket":          {"/run/docker.sock", "/models", "Folder can't be mounted"},
		"podman's folder":          {"/run/podman", "/models", "Folder can't be mounted"},
		"docker's images":          {"/var/lib/docker/overlay2", "/models", "Folder can't be mounted"},
		"above docker's images":    {"/var/lib", "/models", "Folder can't be mounted"},
		"far above them":           {"/var", "/models", "Folder can't be mounted"},
		"systemd's sockets":        {"/run/systemd/private", "/models", "Folder can't be mounted"},
		"the bus":                  {"/run/dbus", "/models", "Folder can't be mounted"},
		"a person's podman":        {"/run/user/1000/podman", "/models", "Folder can't be mounted"},
		"the screen's":             {"/tmp/.X11-unix", "/models", "Folder can't be mounted"},
		"above the screen's":       {"/tmp", "/models", "Folder can't be mounted"},
		"the agent's":              {"{A}/agent", "/models", "Folder can't be mounted"},
		"the other docker's":       {"{A}/rootless/docker.sock", "/models", "Folder can't be mounted"},
		"fifo":                     {"{O}/fifo", "/models", "Not a file or folder"},
		"home by its sign":         {"~/models", "/models", "Path with ~"},
		"empty":                    {"", "/models", "Empty path"},
		"the state":                {".blast", "/models", "Blast's own state"},
		"in the state":             {"{P}/.blast/default", "/models", "Blast's own state"},
		"the project":              {".", "/models", "Mount of the project"},
		"above the project":        {"{P}/..", "/models", "Path leads upwards"},
		"the project's parent":     {"{PP}", "/models", "Mount of the project"},
		"in itself":                {"src", "/workspace/src/a", "Mount inside of itself"},
		"protected elsewhere":      {".git/hooks", "/models", "Protected path"},
		"hidden by a line":         {"secrets", "/models", "Protected path"},
		"socket":                   {"{O}/socket", "/models", "Not a file or folder"},
		"at the workspace":         {"{O}", "/workspace", "Place of the workspace"},
		"at the root":              {"{O}", "/", "Root of the sandbox"},
		"at a relative path":       {"{O}", "models", "Relative path"},
		"at a roundabout path":     {"{O}", "/a/../etc", "Path in roundabout form"},
		"over the base":            {"{O}", "/usr/bin", "Place of the base"},
		"over libc's files":        {"{O}", "/etc/passwd", "Place of the base"},
		"over the packages":        {"{O}", "/venv/current", "Place of the base"},
		"over the kernel's":        {"{O}", "/proc/self", "Place of the base"},
		"over home":                {"{O}", "/home/sandbox", "Place of the sandbox's own"},
		"over a protection":        {"{O}", "/workspace/blast.hcl", "Protected path"},
		"below a protection":       {"{O}", "/workspace/.git/hooks/x", "Protected path"},
		"control character":        {"{O}/\\u0007", "/models", "Control character in a path"},
		"control character inside": {"{O}", "/mod\\u0007els", "Control character in a path"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, "")
			for _, step := range []error{
				os.WriteFile(filepath.Join(outside, "file"), nil, 0o644), os.MkdirAll(filepath.Join(outside, "real", "below"), 0o755),
				relink("real", filepath.Join(outside, "link")), relink(outside, filepath.Join(dir, "outlink")), socket(t, filepath.Join(outside, "socket")), fifo(filepath.Join(outside, "fifo")),
			} {
				if step != nil {
					t.Fatal(step)
				}
			}
			source := strings.NewReplacer("{PP}", filepath.Dir(dir), "{P}", dir, "{O}", outside, "{A}", agents).Replace(c.source)
			text := fmt.Sprintf("filesystem {\n  workspace {\n    source = \".\"\n    hide   = [\"secrets\"]\n  }\n  mount \"%s\" {\n    source = \"%s\"\n  }\n}\n", c.target, source)
			if err := os.WriteFile(filepath.Join(dir, "blast.hcl"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			objs, diags := configtest.Load(t, dir, Words{})
			switch {
			case c.want == "" && diags.HasErrors():
				t.Errorf("refused: %v", diags)
			case c.want == "":
				if m, ok := configtest.Decode[Tree](t, objs, TreeAddr).at(c.target); !ok || m.Access != "ro" || m.Type != Bind {
					t.Errorf("mount: %+v", m)
				}
			case len(diags) != 1 || diags[0].Summary != c.want:
				t.Errorf("%v\nwant %q", diags, c.want)
			case diags[0].Subject == nil || diags[0].Subject.Start.Line < 6:
				t.Errorf("points to %v", diags[0].Subject)
			case !strings.HasSuffix(diags[0].Detail, "."):
				t.Errorf("no sentence: %q", diags[0].Detail)
			}
		})
	}
}

func relink(to, at string) error {
	_ = os.Remove(at)
	return os.Symlink(to, at)
}

// socket makes a unix socket that somebody listens on.
func socket(t *testing.T, path string) error {
	t.Helper()
	_ = os.Remove(path)
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = ln.Close() })
	return nil
}

func fifo(path string) error {
	if err := syscall.Mkfifo(path, 0o600); !errors.Is(err, syscall.EEXIST) {
		return err
	}
	return nil
}

// Paths of the lists stay in the workspace, and open only what can be opened.
func TestPathsAreValidated(t *testing.T) {
	for line, want := range map[string]string{
		`hide = ["/etc"]`:                          "Invalid path",
		`hide = ["a/../../b"]`:                     "Invalid path",
		`hide = ["."]`:                             "Invalid path",
		`hide = [""]`:                              "Invalid path",
		`hide = ["**"]`:                            "Invalid path",
		`hide = ["*/**"]`:                          "Invalid path",
		`read_only = ["./*"]`:                      "Invalid path",
		`hide = ["[a"]`:                            "Invalid path",
		`hide = ["a/../*.key"]`:                    "Invalid path",
		`hide = ["/*.key"]`:                        "Invalid path",
		`hide = ["a*\\"]`:                          "Invalid path",
		`hide = ["a\\"]`:                           "Invalid path",
		`show = [".e*"]`:                           "Invalid path",
		`read_only = ["a\u0007b"]`:                 "Invalid path",
		`show = [".blast"]`:                        "Path can't be opened",
		`writable = ["blast.hcl"]`:                 "Path can't be opened",
		`writable = ["pylock.blast.toml"]`:         "Path can't be opened",
		`writable = [".git/commondir"]`:            "Path can't be opened",
		`writable = [".git"]`:                      "Path is not protected",
		`show = ["app.py"]`:                        "Path is not protected",
		`writable = [".env"]`:                      "Path is not protected",
		"show = [\".env\"]\n    hide = [\".env\"]": "Path opened and closed",
		"writable = [\".git/hooks\"]\n  read_only=[\".git/hooks\"]": "Path opened and closed",
	} {
		_, diags := configtest.Load(t, project(t, "  workspace {\n    source = \".\"\n    "+line+"\n  }"), Words{})
		if len(diags) != 1 || diags[0].Summary != want {
			t.Errorf("%s: %v\nwant %q", line, diags, want)
		}
	}
}

// Keys of the person are hidden where a mount would show them.
func TestKeysOfThePersonAreHidden(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &reading{people: []string{home + "/.ssh", home + "/.aws"}, bound: []Mount{{Target: "/home/person", Source: home, Type: Bind}}}
	var got []string
	for _, m := range r.protections() {
		got = append(got, m.Type+" "+m.Target)
	}
	if d := cmp.Diff([]string{"hide /home/person/.aws", "hide /home/person/.ssh"}, got); d != "" {
		t.Error(d)
	}
}

func TestDescribe(t *testing.T) {
	src := func(inner string) *string {
		s := "filesystem {\n  workspace {\n    source = \".\"\n" + inner + "\n}\n"
		return &s
	}
	for name, c := range map[string]struct {
		before, after *string
		want          string
	}{
		"created":                {nil, src("}"), ``},
		"created and opened":     {nil, src("show = [\".env\"]\n}"), `- workspace.show widen ".env hidden" ""`},
		"opened":                 {src("}"), src("show = [\".env\"]\n}"), `- workspace.show widen ".env hidden" ""`},
		"hooks opened":           {src("}"), src("writable = [\".git/hooks\"]\n}"), `- workspace.writable widen ".git/hooks read-only" ""`},
		"closed again":           {src("show = [\".env\"]\n}"), src("}"), `+ workspace.hide narrow "" ".env hidden"`},
		"one path more hidden":   {src("}"), src("hide = [\"keys\"]\n}"), `+ workspace.hide narrow "" "keys hidden"`},
		"one path less hidden":   {src("hide = [\"keys\"]\n}"), src("}"), `- workspace.hide widen "keys hidden" ""`},
		"from hidden to read":    {src("hide = [\"keys\"]\n}"), src("read_only = [\"keys\"]\n}"), `~ workspace.read_only widen "keys hidden" "keys read-only"`},
		"a mount":                {src("}"), src("}\nmount \"/srv/etc\" {\nsource = \"/etc\"\n}"), `+ mount./srv/etc widen "" "/etc read-only"`},
		"a mount can be written": {src("}\nmount \"/srv/etc\" {\nsource = \"/etc\"\n}"), src("}\nmount \"/srv/etc\" {\nsource = \"/etc\"\naccess = \"rw\"\n}"), `~ mount./srv/etc widen "/etc read-only" "/etc read-write"`},
		"more memory":            {src("}"), src("}\ntmpfs \"/tmp\" {\nsize = \"1GiB\"\n}"), `~ tmpfs./tmp widen "in memory, 256 MiB" "in memory, 1 GiB"`},
		"less disk":              {src("}"), src("}\nsize = \"1GiB\""), `~ size narrow "5 GiB" "1 GiB"`},
		"fewer files":            {src("}"), src("}\ninodes = 5000"), `+ inodes narrow "" "5000"`},
		"more files":             {src("}\ninodes = 5000"), src("}\ninodes = 6000"), `~ inodes widen "5000" "6000"`},
		"nothing reserved":       {src("}"), src("}\nreserve = \"0\""), `+ reserve widen "" "none"`},
		"more reserved":          {src("}\nreserve = \"2GiB\""), src("}\nreserve = \"4GiB\""), `~ reserve narrow "2 GiB" "4 GiB"`},
		"less reserved":          {src("}\nreserve = \"2GiB\""), src("}"), `- reserve widen "2 GiB" ""`},
		"created unreserved":     {nil, src("}\nreserve = \"0\""), `+ reserve widen "" "none"`},
		"not to be executed":     {src("}"), src("options = [\"noexec\"]\n}"), `~ workspace narrow "DIR read-write" "DIR read-write, noexec"`},
		"to be executed":         {src("options = [\"noexec\", \"nosuid\"]\n}"), src("options = [\"nodev\", \"exec\"]\n}"), `~ workspace widen "DIR read-write, noexec" "DIR read-write"`},
		"always so":              {src("}"), src("options = [\"nosuid\", \"nodev\"]\n}"), ``},
		"written or executed":    {src("access = \"ro\"\n}"), src("options = [\"noexec\"]\n}"), `~ workspace both "DIR read-only" "DIR read-write, noexec"`},
		"memory for few files":   {src("}\ntmpfs \"/d\" {\nsize = \"1MiB\"\n}"), src("}\ntmpfs \"/d\" {\nsize = \"2MiB\"\ninodes = 100\noptions = [\"noexec\"]\n}"), `~ tmpfs./d both "in memory, 1 MiB" "in memory, 2 MiB, 100 inodes, noexec"`},
		"a largest file":         {src("}"), src("}\nmax_file_size = \"1MiB\""), `+ max_file_size narrow "" "1 MiB"`},
	} {
		if got := strings.TrimSpace(sameProject(t, c.before, c.after)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// sameProject is configtest.Items for one folder: sources are absolute paths.
func sameProject(t *testing.T, before, after *string) (got string) {
	t.Helper()
	dir := configtest.Project(t, "")
	var c plan.Change
	defer func() { got = strings.ReplaceAll(got, dir, "DIR") }()
	for side, text := range map[*[]byte]*string{(*[]byte)(&c.From): before, (*[]byte)(&c.To): after} {
		if text == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "blast.hcl"), []byte(*text), 0o644); err != nil {
			t.Fatal(err)
		}
		objs, diags := configtest.Load(t, dir, Words{})
		if diags.HasErrors() {
			t.Fatalf("unexpected: %v", diags)
		}
		*side = objs[0].Attrs
	}
	c.Addr = TreeAddr
	var b strings.Builder
	for _, it := range (Words{}).Describe(c).Items {
		fmt.Fprintf(&b, "%s %s %s %q %q\n", it.Action.Sign(), it.Name, it.Access, it.Before, it.After)
		if it.Restart {
			t.Errorf("%s: needs a restart", it.Name)
		}
	}
	return b.String()
}

// A tree belongs to one sandbox, and protects the lock file that there is.
func TestLink(t *testing.T) {
	dir := project(t, "workspace {\n  source = \".\"\n}")
	objs, diags := configtest.Load(t, dir, Words{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	box := plan.NewObject(process.SandboxAddr, process.Sandbox{Hostname: "a"}, nil)
	set := plan.NewObject(packages.SetAddr, packages.Set{Lock: packages.Lock{Path: filepath.Join(dir, "locks/pylock.toml")}}, nil)
	got := configtest.Decode[Tree](t, (Words{}).Link(kinds.LinkInput{Objects: append(objs, box, set)}), TreeAddr)
	if got.Sandbox != box.Digest() {
		t.Errorf("sandbox %q, want %q", got.Sandbox, box.Digest())
	}
	if _, there := got.at("/workspace/pylock.blast.toml"); there {
		t.Error("a file that is no lock is protected")
	}
	if m, _ := got.at("/workspace/locks/pylock.toml"); m.Type != ReadOnly {
		t.Errorf("the lock file is not protected: %+v", m)
	}
}

func TestJunk(t *testing.T) { configtest.Junk(t, Words{}) }
