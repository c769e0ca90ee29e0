package main

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan/view"
)

type validateCmd struct {
	JSON bool `name:"json" help:"Print the result as JSON, in Terraform's names."`
}

// validation is what terraform validate -json prints.
type validation struct {
	FormatVersion string            `json:"format_version"`
	Valid         bool              `json:"valid"`
	ErrorCount    int               `json:"error_count"`
	WarningCount  int               `json:"warning_count"`
	Diagnostics   []view.Diagnostic `json:"diagnostics"`
}

// Run reads blast.hcl and says what is wrong with it.
func (cmd *validateCmd) Run(u *ui, g *Globals) error {
	f, diags, err := u.read(g)
	if err != nil {
		return err
	}
	if cmd.JSON {
		v := validation{FormatVersion: "1.0", Diagnostics: []view.Diagnostic{}}
		for _, d := range diags {
			if d.Severity == hcl.DiagWarning {
				v.WarningCount++
			} else {
				v.ErrorCount++
			}
			v.Diagnostics = append(v.Diagnostics, diagnosticOf(d))
		}
		v.Valid = v.ErrorCount == 0
		if err := u.answer(v); err != nil {
			return err
		}
	} else {
		var files map[string]*hcl.File
		if f != nil {
			files = f.Sources
		}
		u.diagnostics(files, diags)
	}
	if diags.HasErrors() {
		return statusError{exitConfig}
	}
	if !cmd.JSON {
		return printAll(u.out, fmt.Appendf(nil, "Success! blast.hcl is valid: %s.\n", plural(len(f.Environments), "environment")))
	}
	return nil
}
