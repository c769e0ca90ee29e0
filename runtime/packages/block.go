package packages

import (
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
)

// Words is the python and package blocks, as a person writes them.
type Words struct{}

// Name implements config.Words.
func (Words) Name() string { return "packages" }

// Specs declare the python and package blocks.
var Specs = []block.Block{
	{
		Name: "python", Doc: "The interpreter, and where packages come from.",
		Attrs: []block.Attr{
			{Name: "version", Kind: block.String, Example: `"3.11"`, Default: "the newest that the host has", Source: "PEP 440", Doc: "A version or its beginning, or a specifier. It is looked for in the host's system folders."},
			{Name: "manifest", Kind: block.String, Example: `"requirements.txt"`, Default: "none", Source: "PEP 508, PEP 621", Doc: "requirements.txt or pyproject.toml, in the project."},
			{Name: "index", Kind: block.Strings, Example: `["https://pypi.org/simple"]`, Default: `["https://pypi.org/simple"]`, Source: "PEP 503, PEP 691", Doc: "Package indexes; the first that has a project wins."},
			{Name: "groups", Kind: block.Strings, Example: `["dev"]`, Default: "[]", Source: "PEP 735", Doc: "Dependency groups of pyproject.toml that are installed, too."},
			{Name: "extras", Kind: block.Strings, Example: `["postgres"]`, Default: "[]", Source: "PEP 621", Doc: "The project's own optional dependencies of pyproject.toml that are installed, too."},
			{Name: "constraints", Kind: block.Strings, Example: `["urllib3 < 2"]`, Default: "[]", Source: "PEP 508", Doc: "Versions of projects if something asks for them; asks for none."},
			{Name: "overrides", Kind: block.Strings, Example: `["numpy == 1.26.*"]`, Default: "[]", Source: "PEP 508", Doc: "Versions that are taken in place of what any line or project asks for. It can break what asked."},
			{Name: "cooldown", Kind: block.Duration, Example: `"7d"`, Default: "none", Source: "PEP 700", Doc: "Take no file that was uploaded less than this before versions are chosen, as most that is malicious is found within days. What a line pins by == may be younger. The index has to tell when a file was uploaded."},
			{Name: "lock", Kind: block.String, Example: `"pylock.blast.toml"`, Default: `"pylock.blast.toml"`, Source: "PEP 751", Doc: "Lock file, in the project. Check it in."},
			{Name: "on_import", Kind: block.String, OneOf: []string{"deny"}, NotYet: []string{"install"}, Default: `"deny"`, Doc: "What a missing import may do."},
		},
		Blocks: []block.Block{{
			Name: "login", Label: "host[:port]", Doc: "What an index is told, by HTTPS, before it hands out packages (Basic authentication, RFC 7617).",
			Attrs: []block.Attr{
				{Name: "user", Kind: block.String, Example: `"ci"`, Default: `"__token__", or that of netrc`, Doc: "Who logs in."},
				{Name: "password", Kind: block.String, Required: true, Example: `"env:INDEX_TOKEN"`, Source: "RFC 7617; netrc(5)", Doc: "Where the password or token is: \"env:NAME\", a variable of the environment that blast is called in; \"file:PATH\"; or \"netrc\", the file $NETRC or .netrc in the person's home. It itself is in no plan, state, lock, log or snapshot, and no sandbox sees it."},
			},
		}, {
			Name: "registry", Label: "name", Doc: "An index of some projects, which come from nowhere else; it is asked for nothing else. So nobody can put a project of the same name in its place elsewhere.",
			Attrs: []block.Attr{
				{Name: "url", Kind: block.String, Required: true, Example: `"https://pypi.example.com/simple"`, Source: "PEP 503, PEP 691", Doc: "The index's root."},
				{Name: "packages", Kind: block.Strings, Required: true, Example: `["torch", "corp-*"]`, Doc: "Names of projects, also with * for any part. Where two registries have a name, the first counts."},
			},
		}},
	},
	{
		Name: "package", Label: "name", Doc: "A third-party project that is installed.", NotYet: []string{"for_each"},
		Attrs: []block.Attr{
			{Name: "version", Kind: block.String, Example: `"~= 2.32"`, Default: "any version", Source: "PEP 440", Doc: "Version specifiers."},
			{Name: "extras", Kind: block.Strings, Example: `["async"]`, Default: "[]", Source: "PEP 508", Doc: "Optional features of the project."},
			{Name: "marker", Kind: block.String, Example: `"python_version >= '3.11'"`, Default: "always", Source: "PEP 508", Doc: "Environment marker: when it is needed."},
		},
	},
}

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(nil, Specs) }

// Where things come from and go if nothing is written.
const (
	defaultIndex = "https://pypi.org/simple"
	defaultLock  = "pylock.blast.toml"
)

// Decode implements config.Words. It fills the Wishes alone; the resolver makes
// the rest of them. Without a block there is an interpreter and no package.
func (Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	root, diags := s.Read(nil, Specs)
	r := &reading{project: s.Project, src: block.Origins{"": s.Origin()}, diags: diags}
	python := root.Block("python")
	if python != nil {
		python.Sources(r.src, "python")
		r.src[""] = r.src["python"]
	}
	w := Wishes{Version: r.version(python), Index: r.indexes(python), Registries: r.registries(python), Logins: r.logins(python), LockPath: r.lock(python)}
	if python.Has("manifest") {
		w.Manifest = r.manifest(python, &w)
	}
	r.onlyPyproject(python, w.Manifest)
	w.Requirements = append(w.Requirements, r.packages(root.Blocks("package"))...)
	w.Requirements = append(w.Requirements, r.limits(python)...)
	if d, ok := python.Duration("cooldown"); ok {
		w.Cooldown = int64(d.Seconds())
	}
	return []plan.Object{r.src.Object(SetAddr, Set{Wishes: w, Packages: []Pinned{}})}, r.diags
}
