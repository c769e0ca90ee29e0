package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/edit"
	"blast.example/blast/plan/view/shellword"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/network/allow"
)

type allowCmd struct {
	Targets     []string `arg:"" name:"target" help:"HOST[:PORT], such as api.github.com:443; an address or block of addresses, too, with /udp after the port or /icmp instead of it. Without a port: 443."`
	Reason      string   `placeholder:"TEXT" help:"Why. It is kept with the rule."`
	Name        string   `placeholder:"RULE" help:"What the rule is called; by default after the host."`
	During      string   `enum:",run,apply" default:"" placeholder:"WHEN" help:"Only while commands run, or only while apply installs packages: run, apply."`
	Expires     string   `placeholder:"DATE" help:"The last day of the rule, such as 2027-01-31."`
	DryRun      bool     `help:"Show the change and write nothing."`
	AutoApprove bool     `aliases:"yes" help:"Apply without asking. That carries out all that blast.hcl says by now."`
	JSON        bool     `name:"json" help:"Print what was written as JSON, as docs/OUTPUT.md describes it, and apply nothing."`
}

// Run edits blast.hcl and applies it, if it may ask or is told to.
func (cmd *allowCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	wishes, err := cmd.wishes(u)
	if err != nil {
		return err
	}
	p, err := u.open(g)
	if err != nil {
		return err
	}
	src, err := readSource(u, p.file.Path)
	if err != nil {
		return err
	}
	e := &allowing{u: u, g: g, env: p.conf.Name, file: p.file, text: src, now: time.Now()}
	for _, w := range wishes {
		if err := e.add(w); err != nil {
			return err
		}
	}
	if cmd.JSON {
		return cmd.tell(u, e, src)
	}
	for _, a := range e.done {
		if a.Already {
			u.say("%s is allowed already, by egress %s: nothing to write. If it is still refused: %s", a.Target, visible(fmt.Sprintf("%q", a.Rule)), blastCommand(g, "apply"))
		}
	}
	if bytes.Equal(e.text, src) {
		return nil // each was said to be allowed already
	}
	if err := e.show(src); err != nil || cmd.DryRun {
		return err
	}
	if err := rewrite(p.file.Path, src, e.text); err != nil {
		return err
	}
	return cmd.apply(ctx, u, g)
}

// allowed is what --json prints.
type allowed struct {
	File        string       `json:"file"`
	Environment string       `json:"environment"`
	Written     bool         `json:"written"` // false: nothing is new, or --dry-run
	Targets     []allowedOne `json:"targets"`
	Diff        []string     `json:"diff"` // of the file, line by line, as it is shown without --json
}

// An allowedOne is the rule that allows a target now.
type allowedOne struct {
	Target  string `json:"target"` // with the port
	Rule    string `json:"rule"`
	Already bool   `json:"already"` // it did before
}

// tell writes the file, if it may, and says so.
func (cmd *allowCmd) tell(u *ui, e *allowing, src []byte) error {
	a := allowed{File: e.file.Path, Environment: e.env, Targets: e.done, Diff: []string{}}
	if !bytes.Equal(e.text, src) {
		a.Diff = edit.Diff(src, e.text)
		if !cmd.DryRun {
			if err := rewrite(a.File, src, e.text); err != nil {
				return err
			}
			a.Written = true
		}
	}
	return u.answer(a)
}

// wishes are what is asked for.
func (cmd *allowCmd) wishes(u *ui) ([]allow.Wish, error) {
	if cmd.JSON && cmd.AutoApprove {
		return nil, u.misused("--json says what was written, and applies nothing: leave --auto-approve, and run blast apply --json afterwards")
	}
	if cmd.Name != "" && len(cmd.Targets) > 1 {
		return nil, u.misused("--name is for one rule, and %d targets may need more: name them one by one", len(cmd.Targets))
	}
	if _, err := time.Parse(time.DateOnly, cmd.Expires); err != nil && cmd.Expires != "" {
		return nil, u.misused("--expires %s is no day: write year, month and day, such as 2027-01-31", cmd.Expires)
	}
	var ws []allow.Wish
	for _, text := range cmd.Targets {
		t, err := allow.Parse(text)
		if err != nil {
			return nil, u.misused("%v", err)
		}
		w := allow.Wish{Target: t, Name: cmd.Name, Reason: cmd.Reason, Expires: cmd.Expires}
		if cmd.During != "" {
			w.During = []string{cmd.During}
		}
		ws = append(ws, w)
	}
	return ws, nil
}

// apply carries out what blast.hcl says now, or says how to.
func (cmd *allowCmd) apply(ctx context.Context, u *ui, g *Globals) error {
	if !cmd.AutoApprove && !u.interactive {
		u.say("Wrote blast.hcl.   Apply it: %s", blastCommand(g, "apply"))
		return nil
	}
	u.say("Wrote blast.hcl.")
	do := applyCmd{AutoApprove: cmd.AutoApprove}
	do.Refresh = true
	return do.Run(ctx, u, g)
}

// blastCommand is a command as a person can type it where this one was typed.
func blastCommand(g *Globals, words ...string) string {
	all := []string{"blast"}
	if g.Chdir != "" {
		all = append(all, "-C", g.Chdir)
	}
	if g.Env != "" {
		all = append(all, "-e", g.Env)
	}
	all = append(all, words...)
	for i, w := range all {
		all[i] = shellword.Quote(w)
	}
	return strings.Join(all, " ")
}

// An allowing is a blast.hcl on its way.
type allowing struct {
	u    *ui
	g    *Globals
	env  string
	file *config.File // what text says
	text []byte
	now  time.Time
	done []allowedOne
}

// add lets the text allow one more target. It is read as apply will, and has to say
// that and nothing else.
func (e *allowing) add(w allow.Wish) error {
	p, err := e.policy()
	if err != nil {
		return err
	}
	if rule, ok := w.Allowed(p, e.now); ok {
		e.done = append(e.done, allowedOne{w.String(), rule, true})
		return nil
	}
	text, rule, err := e.edited(w, p)
	if err != nil {
		return e.byHand(w, p, err)
	}
	file, diags, err := e.u.readAs(e.g, text)
	if err != nil {
		return err
	}
	if diags.HasErrors() {
		return &configError{diags, file.Sources}
	}
	if err := allow.Exactly(e.file.Environments, file.Environments, e.env, rule); err != nil {
		return e.byHand(w, p, err)
	}
	e.text, e.file = text, file
	e.done = append(e.done, allowedOne{w.String(), rule.Name, false})
	return nil
}

func (e *allowing) policy() (network.Policy, error) {
	conf, err := pick(e.file, e.env)
	if err != nil {
		return network.Policy{}, err
	}
	return allow.PolicyOf(conf.Objects)
}

// edited is the text with one more rule or port.
func (e *allowing) edited(w allow.Wish, p network.Policy) ([]byte, network.Egress, error) {
	f, diags := edit.Parse(e.text, config.FileName)
	if diags.HasErrors() {
		return nil, network.Egress{}, &configError{diags, map[string]*hcl.File{config.FileName: {Bytes: e.text}}}
	}
	body := f.Top()
	if body.Has("environment") {
		named, ok := body.Block("environment", e.env)
		if !ok {
			return nil, network.Egress{}, fmt.Errorf("it has no block environment %q", e.env)
		}
		body = named
	}
	rule := w.Write(body, p, e.now)
	return f.Bytes(), rule, nil
}

// byHand is the error of a file that is more than this can edit.
func (e *allowing) byHand(w allow.Wish, p network.Policy, why error) error {
	return fmt.Errorf("blast.hcl can't be edited for this (%w), and is as it was. Add to its network block by hand:\n\n  %s", why, strings.Join(w.Block(p), "\n  "))
}

// show prints what changes.
func (e *allowing) show(was []byte) error {
	var b strings.Builder
	for _, l := range edit.Diff(was, e.text) {
		b.WriteString(visible(l) + "\n")
	}
	return printAll(e.u.out, []byte(b.String()))
}
