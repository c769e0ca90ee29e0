package view

import (
	"encoding/json"
	"fmt"

	"blast.example/blast/plan"
)

// Report is what GitLab shows of a plan in a merge request (artifacts:reports:terraform).
// As in Plan's counts, a replacement is one to create and one to delete.
// Source: https://docs.gitlab.com/user/infrastructure/iac/mr_integration/
func Report(p plan.Plan) ([]byte, error) {
	n := p.Counts()
	b, err := json.Marshal(struct {
		Create int `json:"create"`
		Update int `json:"update"`
		Delete int `json:"delete"`
	}{n.Add, n.Change, n.Destroy})
	if err != nil {
		return nil, fmt.Errorf("report for GitLab: %w", err)
	}
	return append(b, '\n'), nil
}

// Quality is what widens, as GitLab's code quality report (artifacts:reports:codequality),
// which marks lines in a merge request. What has no line is marked at blast.hcl's first.
// Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
func Quality(p plan.Plan, where Repository) ([]byte, error) {
	type lines struct {
		Begin int `json:"begin"`
	}
	type location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	type issue struct {
		Description string   `json:"description"`
		CheckName   string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"` // the same as long as it widens the same
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	out := []issue{}
	for _, s := range p.Steps {
		for _, it := range s.Items {
			if !wider(it.Access) {
				continue
			}
			a := widening(it, where)
			if a.File == "" {
				a.File = where.Path("blast.hcl")
			}
			out = append(out, issue{
				"Wider access: " + a.Message, "blast/wider-access",
				plan.DigestOf([]byte(p.Env), []byte(s.Addr), []byte(it.Name), []byte(it.Text()))[:32], "major",
				location{a.File, lines{max(a.Line, 1)}},
			})
		}
	}
	b, err := Encode(out, "  ")
	if err != nil {
		return nil, fmt.Errorf("code quality report: %w", err)
	}
	return append(b, '\n'), nil
}
