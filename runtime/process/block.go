package process

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/config/nearest"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/secret"
)

// Words is the process and secret blocks and the env attribute, as a person writes
// them.
type Words struct{}

// Name implements config.Words.
func (Words) Name() string { return "process" }

// Attrs and Specs declare the env attribute, and the process and secret blocks.
var (
	Attrs = []block.Attr{{Name: "env", Kind: block.StringMap, Private: true, Example: `{ APP_ENV = "dev" }`, Default: "{}", Source: "environ(7)", Doc: "Environment variables of every command, over PATH, HOME, USER, LOGNAME, LANG, TMPDIR and VIRTUAL_ENV, which are always set; a PYTHONPATH comes behind /run/blast/python, from where refusals are explained in tracebacks (BLAST_HOOK = \"off\" switches that off). They are stored with the state: what is secret belongs into a secret block."}}
	Specs = []block.Block{processSpec, secretSpec}

	processSpec = block.Block{
		Name: "process", Doc: "As whom and with which rights commands run.",
		Attrs: []block.Attr{
			{Name: "user", Kind: block.String, Example: `"nobody"`, Default: `"nobody"`, Source: "user_namespaces(7)", Doc: "\"nobody\", \"root\", or a user number from 1 to 65535 as a string. Each is a user of the sandbox's own user namespace: its root is not the host's."},
			{Name: "capabilities", Kind: block.Strings, Example: `["CAP_CHOWN"]`, Default: "[]", Source: "capabilities(7)", Doc: "Capabilities in the sandbox's own user namespace: " + strings.Join(Grantable, ", ") + ". CAP_ may be left out."},
			{Name: "seccomp", Kind: block.String, Example: `"default"`, Default: `"default"`, Source: "seccomp(2)", Doc: "Profile of system calls."},
		},
	}
)

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(Attrs, Specs) }

// Users inside of the sandbox.
const (
	nobody = 65534
	maxID  = 65535 // a sandbox has this many ids beside root's

	// numbered is the name of a user who was written as a number: a user has a
	// name in /etc/passwd, and one of digits alone would be taken for a number.
	numbered = "sandbox"
)

// Grantable are the capabilities that can be given. The others would let a
// command undo its sandbox, or mean nothing in it; runtime/sandbox says why.
var Grantable = []string{"CAP_CHOWN", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"}

// HomeDir and WorkspaceDir are where commands start: in the workspace if there
// is one.
const (
	HomeDir      = "/home/sandbox"
	WorkspaceDir = "/workspace"
)

// Decode implements config.Words.
func (Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	root, diags := s.Read(Attrs, Specs)
	v := root.Block("process")
	r := &reading{Values: v, diags: diags}
	src := block.Origins{"": s.Origin()}
	v.Sources(src, "")
	box := Sandbox{
		Base: "host", OwnerUID: uint32(s.UID), OwnerGID: uint32(s.GID),
		Capabilities: r.capabilities(), Seccomp: r.seccomp(), Hostname: hostname(s.Env),
	}
	box.User, box.UID, box.GID = r.user()

	e := Environment{Dir: WorkspaceDir}
	var esrc block.Origins
	e.Vars, esrc = r.vars(box.User, root.Pairs("env"))
	e.Secrets = r.secrets(root.Blocks("secret"), esrc)
	conceal(r.diags, s.Content.Blocks.OfType("secret"))
	if esrc[""] = s.Origin(); root.Has("env") {
		esrc[""] = block.Origin{Place: root.Origin("env").Place}
	}
	sandbox := src.Object(SandboxAddr, box)
	sandbox.Needs = []string{"resource.limits", "network.namespace", "packages.set"}
	return []plan.Object{
		sandbox,
		esrc.Object(EnvironmentAddr, e),
	}, r.diags
}

// reading makes attributes of a decoded process block.
type reading struct {
	*block.Values
	diags hcl.Diagnostics
}

func (r *reading) report(d *hcl.Diagnostic) { r.diags = append(r.diags, d) }

func (r *reading) user() (name string, uid, gid uint32) {
	name = r.String("user", "nobody")
	switch name {
	case "nobody":
		return name, nobody, nobody
	case "root":
		return name, 0, 0
	}
	n, err := strconv.ParseUint(name, 10, 32)
	switch {
	case err != nil || n > maxID || strconv.FormatUint(n, 10) != name:
		r.report(block.Errorf(r.At("user"), "Unknown user", "user is %q, and a sandbox has no user list to look it up in.%s Write \"nobody\", \"root\", or a number from 1 to %d as a string.", name, nearest.Hint(name, []string{"nobody", "root"}), maxID))
	case n == 0:
		r.report(block.Errorf(r.At("user"), "Root by its number", "user = \"0\" is root, and root is written by its name. Write \"root\" if it is meant."))
	case n != nobody:
		return numbered, uint32(n), uint32(n)
	}
	return "nobody", nobody, nobody
}

func (r *reading) capabilities() []string {
	var out []string
	for _, t := range r.Strings("capabilities") {
		name := strings.ToUpper(t.Text)
		if !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		switch {
		case !slices.Contains(Grantable, name):
			r.report(block.Errorf(t.Range, "Capability can't be granted", "%q is no capability that a sandbox can have: the others would let a command undo its sandbox, or mean nothing in it.%s Write one of %s.",
				t.Text, nearest.Hint(name, Grantable), strings.Join(Grantable, ", ")))
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (r *reading) seccomp() string {
	if s := r.String("seccomp", "default"); s != "default" {
		r.report(block.NotYet(r.At("seccomp"), "A seccomp profile of your own", "Write \"default\"."))
	}
	return "default"
}

// hostname makes a host name's label of an environment's name.
func hostname(env string) string {
	label := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, env), "-")
	if label == "" {
		return "sandbox"
	}
	return label[:min(len(label), 63)]
}

// defaults are the variables that every command has; see environ(7). The name
// of the user is the one that the sandbox's /etc/passwd has.
func defaults(user string) map[string]string {
	return map[string]string{
		"PATH": "/venv/current/bin:/usr/local/bin:/usr/bin:/bin",
		"HOME": HomeDir, "USER": user, "LOGNAME": user,
		"LANG": "C.UTF-8", "TMPDIR": "/tmp", "VIRTUAL_ENV": "/venv/current",
	}
}

// vars are the defaults with the person's own over them.
func (r *reading) vars(user string, pairs []block.Pair) (vars map[string]string, src block.Origins) {
	vars, src = defaults(user), block.Origins{}
	for _, p := range pairs {
		if !secret.ValidName(p.Name) {
			r.report(block.Errorf(p.Range, "Invalid name", "%q can't name an environment variable. Use letters, digits and _, and don't begin with a digit.", p.Name))
			continue
		}
		vars[p.Name] = p.Text
		src["env."+p.Name] = p.Origin
	}
	return vars, src
}

// Link implements kinds.Linker: commands start in the workspace, if there is one, and a
// sandbox is the one that is there until another is asked for.
func (Words) Link(in kinds.LinkInput) []plan.Object {
	dir := HomeDir
	if slices.ContainsFunc(in.Objects, hasWorkspace) {
		dir = WorkspaceDir
	}
	var was Sandbox
	in.Recall(SandboxAddr, &was)
	out := slices.Clone(in.Objects)
	for i, o := range out {
		var e Environment
		var box Sandbox
		switch {
		case o.Addr == EnvironmentAddr && o.Decode(&e) == nil:
			e.Dir = dir
			out[i] = o.With(e)
		case o.Addr == SandboxAddr && o.Decode(&box) == nil:
			box.Incarnation = in.Incarnation(SandboxAddr, was.Incarnation)
			out[i] = o.With(box)
		}
	}
	return out
}

// hasWorkspace looks for a mount at the workspace. The filesystem kind imports
// this package, so its attributes are read by their names.
func hasWorkspace(o plan.Object) bool {
	var tree struct {
		Mounts []struct{ Target string }
	}
	return o.Kind() == "filesystem" && o.Decode(&tree) == nil &&
		slices.ContainsFunc(tree.Mounts, func(m struct{ Target string }) bool { return m.Target == WorkspaceDir })
}
