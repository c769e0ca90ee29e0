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

// wishes are what is asked for.
func (cmd *allowCmd) wishes(u *ui) ([]allow.Wish, error) {
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
}

// add lets the text allow one more target. It is read as apply will, and has to say
// that and nothing else.
func (e *allowing) add(w allow.Wish) error {
	p, err := e.policy()
	if err != nil {
		return err
	}
	if rule, ok := w.Allowed(p, e.now); ok {
		e.u.say("%s is allowed already, by egress %s: nothing to write. If it is still refused: %s", w.Target, visible(fmt.Sprintf("%q", rule)), blastCommand(e.g, "apply"))
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
