package process

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

func box(t *testing.T, src string) Sandbox {
	t.Helper()
	return configtest.Decode[Sandbox](t, configtest.Objects(t, Words{}, src), SandboxAddr)
}

func TestDefaultHasNoRights(t *testing.T) {
	want := Sandbox{Base: "host", User: "nobody", UID: 65534, GID: 65534, OwnerUID: 1234, OwnerGID: 2345, Seccomp: "default", Hostname: "default"}
	for _, src := range []string{"", "process {\n}\n", "process {\n  user = \"nobody\"\n  capabilities = []\n}\n", "process {\n  user = \"65534\"\n}\n"} {
		if d := cmp.Diff(want, box(t, src)); d != "" {
			t.Errorf("%q: %s", src, d)
		}
	}
}

func TestUsersAndRights(t *testing.T) {
	got := box(t, "process {\n  user = \"1000\"\n  capabilities = [\"chown\", \"CAP_KILL\", \"CAP_CHOWN\"]\n}\n")
	if got.UID != 1000 || got.GID != 1000 || got.User != "sandbox" {
		t.Errorf("user: %+v", got)
	}
	if d := cmp.Diff([]string{"CAP_CHOWN", "CAP_KILL"}, got.Capabilities); d != "" {
		t.Error(d)
	}
	if got := box(t, "process {\n  user = \"root\"\n}\n"); got.UID != 0 || got.User != "root" {
		t.Errorf("root: %+v", got)
	}
}

// Whatever would undo the sandbox is refused with its place.
func TestRefused(t *testing.T) {
	for line, want := range map[string]string{
		`user = "0"`:                       "Root by its number",
		`user = "me"`:                      "Unknown user",
		`user = "-1"`:                      "Unknown user",
		`user = "01000"`:                   "Unknown user",
		`user = "65536"`:                   "Unknown user",
		`user = "4294967296"`:              "Unknown user",
		`capabilities = ["CAP_SYS_ADMIN"]`: "Capability can't be granted",
		`capabilities = ["CAP_NET_ADMIN"]`: "Capability can't be granted",
		`capabilities = ["DAC_OVERRIDE"]`:  "Capability can't be granted",
		`capabilities = ["CAP_MKNOD"]`:     "Capability can't be granted",
		`capabilities = ["ALL"]`:           "Capability can't be granted",
		`seccomp = "unconfined"`:           "Not supported yet",
	} {
		_, diags := configtest.Load(t, configtest.Project(t, "process {\n  "+line+"\n}\n"), Words{})
		if len(diags) != 1 || diags[0].Summary != want || diags[0].Subject == nil || diags[0].Subject.Start.Line != 2 {
			t.Errorf("%s: %v\nwant %q", line, diags, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	e := configtest.Decode[Environment](t, configtest.Objects(t, Words{}, "env = {\n  APP_ENV = \"dev\"\n  HOME = \"/tmp\"\n}\n"), EnvironmentAddr)
	for name, want := range map[string]string{"APP_ENV": "dev", "HOME": "/tmp", "USER": "nobody", "VIRTUAL_ENV": "/venv/current", "TMPDIR": "/tmp"} {
		if e.Vars[name] != want {
			t.Errorf("%s is %q, want %q", name, e.Vars[name], want)
		}
	}
	if !strings.HasPrefix(e.Vars["PATH"], "/venv/current/bin:") {
		t.Errorf("PATH is %q", e.Vars["PATH"])
	}
	for _, name := range []string{"1A", "A B", "A=B", ""} {
		_, diags := configtest.Load(t, configtest.Project(t, "env = {\n  \""+name+"\" = \"x\"\n}\n"), Words{})
		if !diags.HasErrors() {
			t.Errorf("%q is accepted as a name", name)
		}
	}
}

func TestHostname(t *testing.T) {
	for env, want := range map[string]string{"default": "default", "Dev_1": "dev-1", "__": "sandbox", strings.Repeat("a", 70): strings.Repeat("a", 63)} {
		if got := hostname(env); got != want {
			t.Errorf("%q: %q, want %q", env, got, want)
		}
	}
}

// Commands start in the workspace, if there is one.
func TestLink(t *testing.T) {
	objs := configtest.Objects(t, Words{}, "")
	type mount struct {
		Target string `json:"target"`
	}
	tree := func(target string) plan.Object {
		return plan.NewObject("filesystem.tree", struct {
			Mounts []mount `json:"mounts"`
		}{[]mount{{target}}}, nil)
	}
	for target, want := range map[string]string{"/workspace": "/workspace", "/models": "/home/sandbox"} {
		if got := configtest.Decode[Environment](t, (Words{}).Link(kinds.LinkInput{Objects: append(objs, tree(target))}), EnvironmentAddr).Dir; got != want {
			t.Errorf("with %s: %q, want %q", target, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	src := func(inner string) *string { return &inner }
	names := "\n~ env.LOGNAME  \"\" \"\"\n~ env.USER  \"\" \"\"" // follow the user
	for name, c := range map[string]struct {
		before, after *string
		want          string
	}{
		"created":         {nil, src(""), ``},
		"created as root": {nil, src("process {\n  user = \"root\"\n}\n"), `+ user widen "nobody" "root"`},
		"to root":         {src(""), src("process {\n  user = \"root\"\n}\n"), `~ user widen "nobody" "root" restart` + names},
		"from root":       {src("process {\n  user = \"root\"\n}\n"), src(""), `~ user narrow "root" "nobody" restart` + names},
		"another number":  {src(""), src("process {\n  user = \"1000\"\n}\n"), `~ user  "nobody" "uid 1000" restart` + names},
		"a right more":    {src(""), src("process {\n  capabilities = [\"CAP_CHOWN\"]\n}\n"), `+ capabilities widen "" "CAP_CHOWN" restart`},
		"a right less":    {src("process {\n  capabilities = [\"CAP_CHOWN\"]\n}\n"), src(""), `- capabilities narrow "CAP_CHOWN" "" restart`},
		"variables":       {src("env = {\n  A = \"secret-1\"\n  C = \"x\"\n}\n"), src("env = {\n  A = \"secret-2\"\n  B = \"y\"\n}\n"), "~ env.A  \"\" \"\"\n+ env.B  \"\" \"\"\n- env.C  \"\" \"\""},
	} {
		if got := strings.TrimSpace(configtest.Items(t, Words{}, c.before, c.after)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestJunk(t *testing.T) { configtest.Junk(t, Words{}) }
