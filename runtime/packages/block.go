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
			{Name: "version", Kind: block.String, Example: `"3.11"`, Doc: "A version or its beginning, or a PEP 440 specifier. Default any that the host has."},
			{Name: "manifest", Kind: block.String, Example: `"requirements.txt"`, Doc: "requirements.txt or pyproject.toml, in the project."},
			{Name: "index", Kind: block.Strings, Example: `["https://pypi.org/simple"]`, Doc: "Package indexes (PEP 503), the first that has a project wins."},
			{Name: "lock", Kind: block.String, Example: `"pylock.blast.toml"`, Doc: "Lock file (PEP 751), in the project."},
			{Name: "on_import", Kind: block.String, OneOf: []string{"deny"}, NotYet: []string{"install"}, Doc: "What a missing import may do."},
		},
	},
	{
		Name: "package", Label: "name", Doc: "A third-party project that is installed.", NotYet: []string{"for_each"},
		Attrs: []block.Attr{
			{Name: "version", Kind: block.String, Example: `"~= 2.32"`, Doc: "PEP 440 specifiers. Default any version."},
			{Name: "extras", Kind: block.Strings, Example: `["async"]`, Doc: "Optional features of the project."},
			{Name: "marker", Kind: block.String, Example: `"python_version >= '3.11'"`, Doc: "PEP 508 marker: when it is needed."},
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
	r := &reading{project: s.Project, src: map[string]string{"": s.Place()}, diags: diags}
	python := root.Block("python")
	if python != nil {
		python.Sources(r.src, "python")
		r.src[""] = r.src["python"]
	}
	w := Wishes{Version: r.version(python), Index: r.indexes(python), LockPath: r.lock(python)}
	if python.Has("manifest") {
		w.Manifest, w.Requirements = r.manifest(python)
	}
	w.Requirements = append(w.Requirements, r.packages(root.Blocks("package"))...)
	return []plan.Object{plan.NewObject(SetAddr, Set{Wishes: w, Packages: []Pinned{}}, r.src)}, r.diags
}
