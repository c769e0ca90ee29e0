package main

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

type validateCmd struct {
	JSON bool `name:"json" help:"Print the result as JSON, in Terraform's names."`
}

// validation is what terraform validate -json prints.
type validation struct {
	FormatVersion string       `json:"format_version"`
	Valid         bool         `json:"valid"`
	ErrorCount    int          `json:"error_count"`
	WarningCount  int          `json:"warning_count"`
	Diagnostics   []diagnostic `json:"diagnostics"`
}

type diagnostic struct {
	Severity string  `json:"severity"`
	Summary  string  `json:"summary"`
	Detail   string  `json:"detail"`
	Range    *extent `json:"range,omitempty"`
}

// extent is an hcl.Range in Terraform's spelling.
type extent struct {
	Filename string   `json:"filename"`
	Start    position `json:"start"`
	End      position `json:"end"`
}

type position struct {
	Line   int `json:"line"`   // from 1
	Column int `json:"column"` // from 1, in characters
	Byte   int `json:"byte"`   // from 0
}

func extentOf(r *hcl.Range) *extent {
	if r == nil {
		return nil
	}
	return &extent{r.Filename, position(r.Start), position(r.End)}
}

// Run reads blast.hcl and says what is wrong with it.
func (cmd *validateCmd) Run(u *ui, g *Globals) error {
	f, diags, err := u.read(g)
	if err != nil {
		return err
	}
	if cmd.JSON {
		v := validation{FormatVersion: "1.0", Diagnostics: []diagnostic{}}
		for _, d := range diags {
			sev := "error"
			if d.Severity == hcl.DiagWarning {
				sev = "warning"
				v.WarningCount++
			} else {
				v.ErrorCount++
			}
			v.Diagnostics = append(v.Diagnostics, diagnostic{sev, d.Summary, d.Detail, extentOf(d.Subject)})
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
