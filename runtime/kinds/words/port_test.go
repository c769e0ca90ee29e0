package words_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
)

// read loads a blast.hcl for somebody and links it, as a plan does but for packages.
func read(t testing.TB, project string, uid int, src []byte) []plan.Object {
	t.Helper()
	f, diags := config.LoadText(project, "blast.hcl", src, config.Options{Words: words.ForConfig(), Version: "0.1.0", UID: uid, GID: uid})
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, src)
	}
	return linked(f.Environments[0].Objects)
}

func linked(objs []plan.Object) []plan.Object {
	for _, w := range words.All {
		if l, ok := w.(kinds.Linker); ok {
			objs = l.Link(kinds.LinkInput{Objects: objs})
		}
	}
	return objs
}

// ported takes objects to another project.
func ported(t testing.TB, objs []plan.Object, from kinds.Place, to string, uid int) []plan.Object {
	t.Helper()
	left, err := words.Leave(objs, from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(left)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), from.Project) || strings.Contains(string(b), `"hash"`) {
		t.Errorf("what left says where it was, or knows of secrets: %s", b)
	}
	objs, diags, err := arrive(to, uid, left)
	if err != nil || diags.HasErrors() {
		t.Fatalf("%v %v", diags, err)
	}
	return objs
}

func arrive(project string, uid int, left []plan.Object) ([]plan.Object, hcl.Diagnostics, error) {
	text, err := words.Text("default", left)
	if err != nil {
		return nil, nil, err
	}
	f, diags := config.LoadText(project, "snapshot", text, config.Options{Words: words.ForConfig(), Version: "0.1.0", UID: uid, GID: uid})
	if diags.HasErrors() {
		return nil, diags, nil
	}
	objs, err := words.Complete(f.Environments[0].Objects, left)
	if err != nil {
		return nil, nil, err
	}
	return linked(objs), nil, nil
}

func texts(objs []plan.Object) []string {
	var out []string
	for _, o := range objs {
		out = append(out, o.Addr+" "+string(o.Attrs))
	}
	return out
}

var said = map[string]string{
	"nothing":   "",
	"workspace": "filesystem {\n workspace {\n source = \".\"\n }\n}\n",
	"resources": `resource {
  cpu {
    max = 0.5
    weight = 7
  }
  memory {
    max = "12345679B"
    high = "5000kB"
    swap = "1GiB"
  }
  io {
    read_bps = "1MB"
    write_iops = 5
  }
  pids { max = 77 }
  rlimit "nofile" {
    soft = 10
    hard = 20
  }
  rlimit "stack" { soft = "unlimited" }
  rlimit "core" { soft = 0 }
}`,
	"network": `network {
  default = "audit"
  egress "a b\"${x" {
    domains = ["*.example.com", "xn--bcher-kva.example"]
    ports = [443, 80]
    reason = "because ${env(\"HOME\")} %{ if } \\ \"\n"
    expires = "2099-12-31"
    during = ["run"]
  }
  egress "db" {
    cidrs = ["10.0.0.0/8", "2001:db8::/32"]
    ports = [5432]
    protocol = "udp"
  }
  ingress "web" {
    port = 8000
    publish = "0.0.0.0:80"
  }
  egress "raw" {
    domains = ["db.example.com"]
    ports = [22, 5432]
    protocol = "tcp"
    owner = "team-data"
  }
  egress "ping" {
    cidrs = ["192.0.2.0/24", "2001:db8::/32"]
    protocol = "icmp"
  }
  egress "api" {
    environments = ["backend", "auth"]
    ports = [8000]
  }
  ingress "many" {
    ports = [9002, 9000, 9001]
    protocol = "udp"
    publish = "::"
  }
  ingress "inner" {
    ports = [9100, 9101]
    environments = ["web", "frontend"]
  }
  ingress "both" {
    port = 9200
    publish = "127.0.0.1:9200"
    environments = ["web"]
  }
  dns { servers = ["192.0.2.1:5353", "system"] }
  bandwidth {
    egress = "1500001bit"
    ingress = "2gbit"
  }
  connections { rate = "30/m" }
  egress "limited" {
    domains = ["limited.example.com"]
    ports = [443]
    bandwidth { egress = "8kbit" }
    connections {
      max = 3
      rate = "5/h"
    }
    quota {
      ingress = "1234567B"
      window = "90s"
    }
  }
  ingress "limited" {
    port = 8001
    bandwidth { ingress = "1mbit" }
    connections { max = 7 }
  }
}`,
	"process": `env = {
  A = "1"
  PATH = "/bin"
  LANG = "C.UTF-8"
  "_x" = "$${not} a \"template\""
}
process {
  user = "4711"
  capabilities = ["CAP_KILL", "chown"]
}
secret "TOKEN" { from = "env:TOKEN" }
secret "KEY" { from = "file:keys/k" }
`,
	"root": "process {\n user = \"root\"\n}\n",
	"files": `filesystem {
  size = "64MiB"
  max_file_size = "1234B"
  workspace {
    source = "."
    access = "ro"
    read_only = ["Makefile", "a/b/", ".github"]
    hide = ["secrets/", "blast.hcl", "not/there"]
    show = [".env"]
    writable = [".git/hooks"]
  }
  mount "/srv/lib" { source = "lib" }
  mount "/opt/usr" {
    source = "/usr/share"
    access = "rw"
  }
  tmpfs "/tmp" { size = "1MiB" }
  tmpfs "/workspace/cache" { size = "2MiB" }
  track {
    level = "all"
    paths = ["/workspace", "/srv/**/*.so"]
  }
  alert "reads" {
    event = "read"
    threshold = 7
    bytes = "3MB"
    window = "90s"
    paths = ["*.pem"]
    action = "freeze"
  }
  alert "b-2" {
    event = "rename"
    threshold = 1
  }
}`,
	"part": "filesystem {\n workspace {\n source = \"lib\"\n hide = [\"x\"]\n }\n}\n",
	"checks": `check "imports" {
  command = ["python", "-c", "print(\"a b\")", "", "$${x}"]
  timeout = "1500ms"
}
check "b-2" { command = ["true"] }
`,
	"packages": `python {
  version = ">= 3.9"
  index = ["https://a.example/simple", "https://b.example"]
  lock = "locks/p.toml"
  manifest = "requirements.txt"
}
package "Flask" {
  version = "~= 3.0"
  extras = ["async"]
  marker = "python_version >= '3.9'"
}`,
}

// What a project says comes out the same in another one, as if it was written there.
func TestPorted(t *testing.T) {
	for name, src := range said {
		t.Run(name, func(t *testing.T) {
			if name == "network" {
				src = strings.ReplaceAll(src, "${", "$${")
				src = strings.ReplaceAll(src, "%{", "%%{")
			}
			var at [2]string
			for i := range at {
				at[i] = configtest.Project(t, "")
				for _, dir := range []string{"lib", "a", "locks"} {
					if err := os.Mkdir(filepath.Join(at[i], dir), 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.WriteFile(filepath.Join(at[0], "requirements.txt"), []byte("requests >= 2 --hash=sha256:"+strings.Repeat("ab", 32)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			objs := read(t, at[0], 1234, []byte(src))
			got := ported(t, objs, kinds.Place{Project: at[0], UID: 1234, GID: 1234}, at[1], 77)
			if err := os.Rename(filepath.Join(at[0], "requirements.txt"), filepath.Join(at[1], "requirements.txt")); err != nil {
				t.Fatal(err)
			}
			want := read(t, at[1], 77, []byte(src))
			if !slices.Equal(texts(got), texts(want)) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(texts(got), "\n"), strings.Join(texts(want), "\n"))
			}
		})
	}
}

// A kind that can't be ported would be missing in what is loaded.
func TestEveryKindIsPorted(t *testing.T) {
	for _, w := range words.All {
		if _, ok := w.(kinds.Porter); !ok {
			t.Errorf("%s is not", w.Name())
		}
	}
}

// In a worktree git's file is protected by what the host has, and no line opened
// anything; where the snapshot is loaded what is there decides.
func TestPortedFromAWorktree(t *testing.T) {
	from, to := configtest.Project(t, ""), configtest.Project(t, "")
	for _, err := range []error{os.WriteFile(filepath.Join(from, ".git"), []byte("gitdir: /elsewhere\n"), 0o644), os.Mkdir(filepath.Join(to, ".git"), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	src := []byte(said["workspace"])
	got := ported(t, read(t, from, 1, src), kinds.Place{Project: from, UID: 1}, to, 1)
	if want := read(t, to, 1, src); !slices.Equal(texts(got), texts(want)) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(texts(got), "\n"), strings.Join(texts(want), "\n"))
	}
}

// What no blast.hcl could say a snapshot can't say either.
func TestStrangersPolicy(t *testing.T) {
	project := configtest.Project(t, "")
	good, err := words.Leave(read(t, project, 1234, []byte(said["workspace"])), kinds.Place{Project: project, UID: 1234})
	if err != nil {
		t.Fatal(err)
	}
	with := func(addr string, change func(m map[string]any)) []plan.Object {
		out := slices.Clone(good)
		for i, o := range out {
			var m map[string]any
			if o.Addr == addr && json.Unmarshal(o.Attrs, &m) == nil {
				change(m)
				out[i] = plan.NewObject(addr, m, nil)
			}
		}
		return out
	}
	mount := func(fields map[string]any) []plan.Object {
		return with(filesystem.TreeAddr, func(m map[string]any) {
			for k, v := range map[string]any{"name": "mount.x", "target": "/srv/x", "type": "bind", "source": "/usr", "access": "rw"} {
				if _, set := fields[k]; !set {
					fields[k] = v
				}
			}
			m["mounts"] = append(m["mounts"].([]any), fields)
		})
	}
	refused := map[string][]plan.Object{
		"root of the host":   mount(map[string]any{"source": "/"}),
		"kernel's files":     mount(map[string]any{"source": "/proc"}),
		"upwards":            mount(map[string]any{"source": "../../etc"}),
		"state":              mount(map[string]any{"source": ".blast"}),
		"over the base":      mount(map[string]any{"target": "/usr/bin"}),
		"other access":       mount(map[string]any{"access": "rwx"}),
		"outside":            with(filesystem.TreeAddr, func(m map[string]any) { m["mounts"].([]any)[3].(map[string]any)["source"] = "/etc" }),
		"rules opened":       with(filesystem.TreeAddr, func(m map[string]any) { m["opened"] = []string{"blast.hcl"} }),
		"unknown attribute":  with(filesystem.TreeAddr, func(m map[string]any) { m["privileged"] = true }),
		"negative size":      with(filesystem.TreeAddr, func(m map[string]any) { m["layer_size"] = -1 }),
		"tiny layer":         with(filesystem.TreeAddr, func(m map[string]any) { m["layer_size"] = 1 }),
		"capability":         with(process.SandboxAddr, func(m map[string]any) { m["capabilities"] = []string{"CAP_SYS_ADMIN"} }),
		"no seccomp":         with(process.SandboxAddr, func(m map[string]any) { m["seccomp"] = "unconfined" }),
		"user":               with(process.SandboxAddr, func(m map[string]any) { m["uid"] = 1 << 20 }),
		"variable":           with(process.EnvironmentAddr, func(m map[string]any) { m["vars"] = map[string]string{"A=B\nC": "x"} }),
		"secret":             with(process.EnvironmentAddr, func(m map[string]any) { m["secrets"] = []map[string]string{{"name": "X", "from": "exec:id"}} }),
		"lock elsewhere":     with(packages.SetAddr, func(m map[string]any) { m["wishes"].(map[string]any)["lock_path"] = "../../etc/cron.d/x.toml" }),
		"lock over rules":    with(packages.SetAddr, func(m map[string]any) { m["wishes"].(map[string]any)["lock_path"] = "blast.hcl" }),
		"index":              with(packages.SetAddr, func(m map[string]any) { m["wishes"].(map[string]any)["index"] = []string{"file:///etc"} }),
		"manifest elsewhere": with(packages.SetAddr, func(m map[string]any) { m["wishes"].(map[string]any)["manifest"] = "/etc/passwd" }),
		"requirement": with(packages.SetAddr, func(m map[string]any) {
			m["wishes"].(map[string]any)["requirements"] = []map[string]string{{"text": "--index-url x"}}
		}),
		"default":      with("network.policy", func(m map[string]any) { m["default"] = "allow" }),
		"everything":   with("network.policy", func(m map[string]any) { m["egress"] = []map[string]any{{"name": "x", "ports": []int{1}}} }),
		"no processes": with("resource.limits", func(m map[string]any) { m["pids"] = 1 }),
		"other kind":   append(slices.Clone(good), plan.Object{Addr: "kernel.module", Attrs: json.RawMessage("{}")}),
		"other object": append(slices.Clone(good), plan.Object{Addr: "process.host", Attrs: json.RawMessage("{}")}),
		"no JSON":      {{Addr: filesystem.TreeAddr, Attrs: json.RawMessage("{")}},
	}
	if _, diags, err := arrive(project, 5, good); err != nil || diags.HasErrors() {
		t.Fatalf("control: %v %v", diags, err)
	}
	for name, objs := range refused {
		if _, diags, err := arrive(project, 5, objs); err == nil && !diags.HasErrors() {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, objs := range map[string][]plan.Object{
		"protections": with(filesystem.TreeAddr, func(m map[string]any) { m["opened"] = []string{"unknown", "app.py"} }),
		"owner":       with(process.SandboxAddr, func(m map[string]any) { m["owner_uid"], m["hostname"], m["base"] = 0, "other\nname", "/" }),
		"sandbox":     with(filesystem.TreeAddr, func(m map[string]any) { m["sandbox"] = "0123456789ab" }),
		"python": with(packages.SetAddr, func(m map[string]any) {
			m["python"] = map[string]any{"path": "/workspace/evil", "version": "9", "tags": "x"}
		}),
		"lock": with(packages.SetAddr, func(m map[string]any) { m["lock"] = map[string]any{"path": "/etc/cron.d/x", "content": "x"} }),
	} {
		got, diags, err := arrive(project, 5, objs)
		want, _, _ := arrive(project, 5, good)
		if err != nil || diags.HasErrors() || !slices.Equal(texts(got), texts(want)) {
			t.Errorf("%s: %v %v\ngot\n%s\nwant\n%s", name, err, diags, strings.Join(texts(got), "\n"), strings.Join(texts(want), "\n"))
		}
	}
}

// FuzzArrive reads objects of whoever. What comes out has the protections that every
// project has.
func FuzzArrive(f *testing.F) {
	project := configtest.Project(f, "")
	for _, name := range []string{"workspace", "network", "process", "files", "resources", "checks"} {
		src := strings.NewReplacer("${", "$${", "%{", "%%{", "lib", "/usr/lib").Replace(said[name])
		if name == "files" {
			src = said["workspace"]
		}
		left, err := words.Leave(read(f, project, 1, []byte(src)), kinds.Place{Project: project, UID: 1})
		if err != nil {
			f.Fatal(err)
		}
		b, _ := json.Marshal(left)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var objs []plan.Object
		if json.Unmarshal(b, &objs) != nil {
			return
		}
		got, diags, err := arrive(project, 5, objs)
		if err != nil || diags.HasErrors() {
			return
		}
		var tree filesystem.Tree
		for _, o := range got {
			if o.Addr == filesystem.TreeAddr && o.Decode(&tree) != nil {
				t.Fatalf("%s", o.Attrs)
			}
		}
		for _, name := range []string{".blast/x", "blast.hcl", "pylock.blast.toml"} {
			if tree.Writable(filepath.Join(project, name)) {
				t.Errorf("%s can be written: %s", name, b)
			}
		}
	})
}
