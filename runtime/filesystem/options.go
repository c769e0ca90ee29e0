package filesystem

import (
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
)

// optionsAttr is the options of a workspace, mount or tmpfs block, in mount(8)'s words.
var optionsAttr = block.Attr{
	Name: "options", Kind: block.Strings, Example: `["noexec"]`, Default: `["nosuid", "nodev", "exec"]`, Source: "mount(8)",
	Doc: "noexec: files there can't be executed. nosuid and nodev hold always, written or not.",
}

// never are options that no line can ask for, and why.
var never = map[string]string{
	"suid": "a command would become the owner of a program that it executes, and every mount of a sandbox is nosuid. Remove it",
	"dev":  "a device node would reach the host's devices past the sandbox, and every mount of a sandbox is nodev. Remove it",
	"rw":   `that is what access says. Write access = "rw"`,
	"ro":   `that is what access says. Write access = "ro"`,
}

// exec reports whether files in a mount may be executed, as its options say.
func (r *reading) exec(v *block.Values) bool {
	said := map[string]hcl.Range{}
	for _, o := range v.Strings("options") {
		why := never[o.Text]
		switch o.Text {
		case "nosuid", "nodev", "exec", "noexec":
		default:
			if why == "" {
				why = "there are nosuid, nodev (both hold always), exec and noexec. Write one of them, or remove it"
			}
			r.report(block.Errorf(o.Range, "Mount option not allowed", "options of %s has %q: %s.", v.Name, o.Text, why))
		}
		said[o.Text] = o.Range
	}
	at, no := said["noexec"]
	if _, yes := said["exec"]; yes && no {
		r.report(block.Errorf(at, "Mount options exclude each other", "options of %s has exec and noexec. Remove one of them.", v.Name))
	}
	return !no
}
