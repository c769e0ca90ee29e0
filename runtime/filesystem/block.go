package filesystem

import (
	"cmp"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/process"
)

// Words is the filesystem block, as a person writes it.
type Words struct{}

// Name implements config.Words.
func (Words) Name() string { return "filesystem" }

// Spec is the declaration of the filesystem block.
var Spec = block.Block{
	Name: "filesystem", Doc: "What the sandbox sees of the host's files, and what it may write.",
	Attrs: []block.Attr{
		{Name: "base", Kind: block.String, Example: `"host"`, Default: `"host"`, Doc: "What lies below everything: the host's system folders, read-only."},
		{Name: "size", Kind: block.Size, Example: `"5GiB"`, Min: 1 << 20, Default: `"5GiB"`, Doc: "All that may be written outside of mounts and of what is in memory."},
		{Name: "inodes", Kind: block.Int, Example: "100000", Min: 1 << 10, Max: 1 << 31, Default: "one for each 16 KiB of size", Source: "mke2fs(8), -N", Doc: "How many files and folders that may be, rounded to whole blocks of the layer's tables. Fixed when the layer is made."},
		{Name: "reserve", Kind: block.Size, Example: `"2GiB"`, Default: `"1GiB", or a twentieth of a disk that is smaller than 20 GiB`, Doc: "What stays free of each of the host's disks that commands can fill, through the workspace, mounts or the layer: below that, they stand still (blast thaw). \"0\" is nothing."},
		{Name: "max_file_size", Kind: block.Size, Example: `"100MiB"`, Min: 1, Default: "none", Source: "getrlimit(2), RLIMIT_FSIZE", Doc: "The largest file that a command may write."},
	},
	Blocks: []block.Block{
		{Name: "workspace", Doc: "The project, at /workspace. Without it the sandbox doesn't see the project.", Attrs: []block.Attr{
			{Name: "source", Kind: block.String, Example: `"."`, Default: `"."`, Doc: "A folder of the project, or the project itself."},
			{Name: "access", Kind: block.String, OneOf: []string{"rw", "ro", Overlay}, Default: `"rw"`, Doc: "Whether commands may write there. What they write belongs to the person who ran blast. With overlay it lies in the writable layer, and the project stays as it is until blast accept takes it over."},
			optionsAttr,
			{Name: "read_only", Kind: block.Strings, Example: `["Makefile"]`, Default: "[]", Doc: "Paths in it that can't be written, renamed or removed, also while they are absent, and patterns of such, as in hide."},
			{Name: "hide", Kind: block.Strings, Example: `["secrets", "**/*.pem"]`, Default: "[]", Doc: "Paths in it that can't be seen, and patterns of such: * and ? stand for a part of a name, [a-z] for one character, ** for any folders; one without a / is for names in any folder. A \\ before such a character takes its meaning away. A final / makes a folder of an absent path, and lets a pattern be for folders only. docs/PROTECTION.md says what is guaranteed."},
			{Name: "show", Kind: block.Strings, Example: `[".env"]`, Default: "[]", Doc: "Paths that are hidden by default and shall be seen. A plan shows them as widening."},
			{Name: "writable", Kind: block.Strings, Example: `[".git/hooks"]`, Default: "[]", Doc: "Paths that are read-only by default and shall be writable. A plan shows them as widening. Those in .git count where that is a folder, and not the file of a worktree or submodule."},
		}},
		{Name: "mount", Label: "path in the sandbox", Doc: "A file or folder of the host.", NotYet: []string{"for_each"}, Attrs: []block.Attr{
			{Name: "source", Kind: block.String, Required: true, Example: `"/srv/models"`, Doc: "Path on the host; a relative one is below the project. No part of it may be a symbolic link."},
			{Name: "access", Kind: block.String, OneOf: []string{"ro", "rw"}, NotYet: []string{"overlay"}, Default: `"ro"`, Doc: "Whether commands may write there."},
			optionsAttr,
		}},
		{Name: "tmpfs", Label: "path in the sandbox", Doc: "An empty folder in memory.", NotYet: []string{"for_each"}, Attrs: []block.Attr{
			{Name: "size", Kind: block.Size, Required: true, Example: `"256MiB"`, Min: 1 << 12, Source: "tmpfs(5)", Doc: "What it can hold. It counts as memory of the sandbox."},
			{Name: "inodes", Kind: block.Int, Example: "10000", Min: 16, Max: 1 << 31, Default: "one for each page of size, from 256 to 1048576", Source: "tmpfs(5), nr_inodes", Doc: "How many files and folders it can hold. Each takes about a kilobyte of memory beside."},
			optionsAttr,
		}},
		trackBlock,
		alertBlock,
	},
}

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(nil, []block.Block{Spec}) }

// Where things lie in a sandbox.
const (
	WorkspaceDir = "/workspace"
	HomeDir      = "/home/sandbox"
	TempDir      = "/tmp"
)

// Decode implements config.Words. Nothing of the host is seen beyond the base,
// and nothing is writable but what the sandbox itself owns, unless a line says so.
func (Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	root, diags := s.Read(nil, []block.Block{Spec})
	v := root.Block("filesystem")
	r := newReading(s, v, diags)
	t := Tree{LayerSize: defaultLayerSize, Project: s.Project}
	if n, ok := v.Int("size"); ok {
		t.LayerSize = n
	}
	if n, ok := v.Int("max_file_size"); ok {
		t.MaxFileSize = n
	}
	t.LayerInodes, _ = v.Int("inodes")
	if n, ok := v.Int("reserve"); ok {
		t.Reserve = cmp.Or(n, NoReserve)
	}
	if base := v.String("base", "host"); base != "host" {
		r.report(block.NotYet(v.At("base"), "A base other than the host's system folders", `Write base = "host".`))
	}
	t.Mounts = append(t.Mounts, Mount{Name: "home", Target: HomeDir, Type: Layer, Exec: true}, Mount{Name: "var-tmp", Target: "/var/tmp", Type: Layer})
	t.Mounts = append(t.Mounts, r.temp())
	if w := v.Block("workspace"); w != nil {
		t.Mounts = append(t.Mounts, r.workspace(w)...)
	}
	t.Mounts = append(t.Mounts, r.mounts()...)
	t.Mounts = append(t.Mounts, r.protections()...)
	t.Patterns = r.globs()
	tree := r.src.Object(TreeAddr, t)
	tree.Needs = []string{process.SandboxAddr}
	objs := []plan.Object{tree}
	if track, ok := r.track(t); ok {
		objs = append(objs, track)
	}
	return objs, r.diags
}
