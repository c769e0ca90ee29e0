package main

import (
	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/process"
	"blast.example/blast/state"
)

// exposed finds secrets in files that code in a sandbox of the same blast.hcl could
// make or change.
func exposed(f *config.File, objs []plan.Object, project string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, o := range objs {
		var e process.Environment
		if o.Addr != process.EnvironmentAddr || o.Decode(&e) != nil {
			continue
		}
		for _, ref := range e.Secrets {
			file := ref.File(project)
			if env, ok := writer(f, file); ok {
				d := block.Errorf(hcl.Range{}, "Secret that the sandbox can write",
					"%s is read from %s, and code in the sandbox of environment %q can write there: it would decide what commands are given. Move the file out of what that sandbox may write, or add it to hide or read_only of the workspace block.", ref.Name, file, env)
				d.Subject = block.RangeOf(plan.PlaceOf(o.Src, "secret."+ref.Name+".from"))
				diags = append(diags, d)
			}
		}
	}
	return diags
}

// readable finds passwords of indexes in files that code in a sandbox of the same
// blast.hcl could read: they are for Blast alone.
func readable(f *config.File, objs []plan.Object, env state.Env) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, o := range objs {
		var set packages.Set
		if o.Addr != packages.SetAddr || o.Decode(&set) != nil {
			continue
		}
		for _, l := range set.Wishes.Logins {
			file := l.File(env)
			if name, ok := reader(f, file); ok {
				d := block.Errorf(hcl.Range{}, "Password that the sandbox can read",
					"The password for %s is in %s, and code in the sandbox of environment %q can read that. Move the file out of what that sandbox sees, or add it to hide of the workspace block.", l.Host, file, name)
				d.Subject = block.RangeOf(plan.PlaceOf(o.Src, "python.login."+l.Host+".password"))
				diags = append(diags, d)
			}
		}
	}
	return diags
}

// writer is an environment whose commands could write to a file of the host.
func writer(f *config.File, file string) (env string, ok bool) {
	return whoCan(f, file, filesystem.Tree.Writable)
}

// reader is an environment whose commands could read a file of the host.
func reader(f *config.File, file string) (env string, ok bool) {
	return whoCan(f, file, filesystem.Tree.Shows)
}

func whoCan(f *config.File, file string, can func(filesystem.Tree, string) bool) (env string, ok bool) {
	for _, e := range f.Environments {
		for _, o := range e.Objects {
			var t filesystem.Tree
			if file != "" && o.Addr == filesystem.TreeAddr && (o.Decode(&t) != nil || can(t, file)) {
				return e.Name, true
			}
		}
	}
	return "", false
}
