package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/process/session"
	"blast.example/blast/state"
)

type psCmd struct {
	All  bool `short:"a" help:"Those of every project on this machine, also of projects that are gone."`
	JSON bool `name:"json" help:"Print as JSON."`
}

// standingEnv is one environment, as --json prints it.
type standingEnv struct {
	Name       string    `json:"name"`
	ID         string    `json:"id"`
	Project    string    `json:"project"`
	UID        int       `json:"uid"` // on whose behalf
	Up         bool      `json:"up"`
	Generation uint64    `json:"generation,omitempty"` // 0: nothing is recorded
	Since      time.Time `json:"since,omitzero"`       // of PID 1, or of the first thing that is there
	PID        int       `json:"pid,omitempty"`
	Memory     int64     `json:"memory_bytes,omitempty"`
	Frozen     bool      `json:"frozen,omitempty"` // see blast freeze
	Orphan     string    `json:"orphan,omitempty"` // why nobody has records of it
}

// Run lists environments. Where nothing is on this host it needs no daemon.
func (cmd *psCmd) Run(ctx context.Context, u *ui, _ *Globals) error {
	found, err := u.survey(ctx)
	if err != nil {
		return err
	}
	list := []standingEnv{}
	for _, f := range found {
		list = append(list, standingOf(f))
	}
	if !cmd.All {
		root, err := session.Root()
		if err != nil {
			return err
		}
		if list, err = ofProject(list, root); err != nil {
			return err
		}
	}
	slices.SortFunc(list, func(a, b standingEnv) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Name, b.Name))
	})
	if cmd.JSON {
		return u.answer(list)
	}
	return cmd.table(u, list)
}

// survey asks the daemon what is on this host, if anything is.
func (u *ui) survey(ctx context.Context) ([]wire.Found, error) {
	c, err := u.client()
	if err != nil {
		return nil, err
	}
	claims, err := state.Claims()
	if err != nil || len(claims) == 0 {
		return nil, err
	}
	var res wire.SurveyResult
	if err := c.Call(ctx, wire.Survey, nil, &res, u.event); err != nil {
		return nil, err
	}
	return res.Environments, nil
}

func standingOf(f wire.Found) standingEnv {
	s := standingEnv{
		Name: f.Now.Name, ID: f.Now.ID, Project: f.Now.Project, UID: f.Now.UID, Orphan: f.Orphan,
		Frozen: f.Vitals.Held != nil,
		Up:     f.Vitals.PID > 0, PID: f.Vitals.PID, Memory: f.Vitals.Memory, Since: f.Claim.Since,
	}
	if s.Up {
		s.Since = f.Vitals.Since
	}
	if st, err := f.Now.Load(); err == nil && s.Orphan == "" {
		s.Generation = st.Serial
	}
	return s
}

// ofProject are the environments of one project, with those that are only recorded.
func ofProject(all []standingEnv, root string) ([]standingEnv, error) {
	list := slices.DeleteFunc(all, func(s standingEnv) bool { return s.Project != root })
	es, err := os.ReadDir(filepath.Join(root, ".blast"))
	if errors.Is(err, fs.ErrPermission) {
		return nil, client.ErrPrivilege
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range es {
		if state.CheckName(e.Name()) != nil || slices.ContainsFunc(list, func(s standingEnv) bool { return s.Name == e.Name() }) {
			continue
		}
		env, err := session.Locate(e.Name())
		var copied *state.CopyError
		if err != nil && !errors.As(err, &copied) {
			return nil, err
		}
		st, err := env.Load()
		if err != nil {
			return nil, err
		}
		if st.Serial > 0 {
			list = append(list, standingEnv{Name: env.Name, ID: env.ID, Project: root, UID: env.UID, Generation: st.Serial})
		}
	}
	return list, nil
}

func (cmd *psCmd) table(u *ui, list []standingEnv) error {
	if len(list) == 0 {
		text := "No environment of this project is on record or up.\n"
		if cmd.All {
			text = "No environment is on this machine.\n"
		}
		return printAll(u.out, []byte(text))
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	head := "NAME\tID\tSTATE\tGENERATION\tSINCE\tPID\tMEMORY"
	if cmd.All {
		head += "\tWHOSE\tPROJECT"
	}
	fmt.Fprintln(w, head)
	orphans := false
	for _, s := range list {
		row := []string{s.Name, s.ID, s.state(), number(s.Generation), when(s.Since), number(uint64(s.PID)), memory(s.Memory)}
		if cmd.All {
			row = append(row, whose(s.UID), cell(s.Project))
		}
		if s.Orphan != "" {
			orphans = true
			row[len(row)-1] += "  (" + s.Orphan + ")"
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if orphans {
		b.WriteString("To end an orphan: blast destroy --id ID   To end all: blast destroy --orphans\n")
	}
	return printAll(u.out, []byte(b.String()))
}

func (s standingEnv) state() string {
	up := "down"
	if s.Up {
		up = "up"
	}
	if s.Up && s.Frozen {
		up = "frozen"
	}
	if s.Orphan != "" {
		return up + ", ORPHAN"
	}
	return up
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

func memory(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// whose is the name of a person of this machine.
func whose(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return visible(u.Username)
	}
	return "uid " + strconv.Itoa(uid)
}
