package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/plan"
)

// savedPlan is a plan in a file: what was reviewed and is to be carried out.
type savedPlan struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Blast   string    `json:"blast"`
	Plan    plan.Plan `json:"plan"`
}

const (
	savedFormat  = "blast plan"
	savedVersion = 1
	savedMax     = 64 << 20
)

// savePlan writes a plan that only its owner may read.
func savePlan(path string, p plan.Plan) error {
	b, err := json.Marshal(savedPlan{savedFormat, savedVersion, release.Version, p})
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Chmod(0o600), f.Close())
}

// readPlan reads what savePlan wrote.
func readPlan(path string) (plan.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("read plan: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, savedMax))
	if err != nil {
		return plan.Plan{}, fmt.Errorf("read plan: %w", err)
	}
	var s savedPlan
	if err := json.Unmarshal(b, &s); err != nil || s.Format != savedFormat {
		return plan.Plan{}, fmt.Errorf("%s is not a plan saved by `blast plan --out`", path)
	}
	if s.Version != savedVersion || s.Plan.Version != plan.FormatVersion {
		return plan.Plan{}, fmt.Errorf("%s was saved by blast %s in another format: plan again", path, s.Blast)
	}
	return s.Plan, nil
}

// showPlan prints a plan as the answer.
func (u *ui) showPlan(p plan.Plan, asJSON bool) error {
	u.untick()
	if !asJSON {
		return p.Text(u.stdout, u.style())
	}
	b, err := p.JSON()
	if err != nil {
		return err
	}
	return printAll(u.stdout, append(b, '\n'))
}
