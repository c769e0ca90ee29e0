package story

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/rogpeppe/go-internal/testscript"
)

// terraform plan|state|stream FILE reads what blast wrote as HashiCorp's own library
// reads what Terraform wrote, and prints a line for each thing that it finds.
func terraform(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: terraform plan|state|stream FILE")
	}
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	var out strings.Builder
	switch args[0] {
	case "plan":
		var p tfjson.Plan
		ts.Check(json.Unmarshal(b, &p))
		ts.Check(p.Validate())
		for _, c := range p.ResourceDrift {
			fmt.Fprintln(&out, "drift", c.Address, c.Change.Actions)
		}
		for _, c := range p.ResourceChanges {
			fmt.Fprintln(&out, "change", c.Address, c.Change.Actions, c.Change.Before != nil, c.Change.After != nil)
		}
		for _, r := range p.PlannedValues.RootModule.Resources {
			fmt.Fprintln(&out, "planned", r.Address, len(r.AttributeValues) > 0)
		}
	case "state":
		var s tfjson.State
		ts.Check(json.Unmarshal(b, &s))
		for _, r := range s.Values.RootModule.Resources {
			fmt.Fprintln(&out, "recorded", r.Address, r.DependsOn)
		}
	case "stream":
		for l := range strings.Lines(string(b)) {
			m, err := tfjson.UnmarshalLogMessage([]byte(l))
			ts.Check(err)
			fmt.Fprintf(&out, "%T %s %s\n", m, m.Level(), m.Message())
		}
	default:
		ts.Fatalf("unknown: %s", args[0])
	}
	_, err = ts.Stdout().Write([]byte(out.String()))
	ts.Check(err)
}
