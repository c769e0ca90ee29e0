package process

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// Describe implements kinds.Words. A change of the sandbox takes a new one; what
// commands start with is live.
func (Words) Describe(c plan.Change) plan.Description {
	if c.Addr == EnvironmentAddr {
		return describeEnvironment(c)
	}
	var from, to Sandbox
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	d := plan.Description{Summary: to.summary()}
	if !hasTo {
		d.Summary = from.summary()
	}
	if hasFrom && hasTo {
		d.Items = sandboxItems(from, to)
		for i := range d.Items {
			d.Items[i].Restart = true
		}
		return d
	}
	if !hasFrom {
		from = usual(to)
	}
	if !hasTo {
		to = usual(from)
	}
	d.Items = slices.DeleteFunc(sandboxItems(from, to), func(it plan.Item) bool { return it.Access == plan.Same })
	for i := range d.Items {
		d.Items[i].Action = wording.Action(!hasTo, !hasFrom)
	}
	return d
}

// usual is a sandbox like s to which no line gives more than the default: beside
// it a new one, or one that goes, tells what it widens.
func usual(s Sandbox) Sandbox {
	s.User, s.UID, s.GID, s.Capabilities = "nobody", nobody, nobody, nil
	return s
}

func sandboxItems(from, to Sandbox) []plan.Item {
	items := wording.Changed("base", from.Base, to.Base, plan.Same)
	items = append(items, wording.Changed("user", from.who(), to.who(), userAccess(from, to))...)
	items = append(items, wording.Changed("owner", owner(from), owner(to), plan.Same)...)
	items = append(items, wording.Changed("capabilities", strings.Join(from.Capabilities, ", "), strings.Join(to.Capabilities, ", "), setAccess(from.Capabilities, to.Capabilities))...)
	items = append(items, wording.Changed("seccomp", from.Seccomp, to.Seccomp, changedAccess(from.Seccomp, to.Seccomp))...)
	items = append(items, wording.Changed("hostname", from.Hostname, to.Hostname, plan.Same)...)
	if from.Incarnation != to.Incarnation {
		items = append(items, plan.Item{Name: "sandbox", Action: plan.Replace, Cause: plan.ByRequest, Because: "made anew"})
	}
	return items
}

func (s Sandbox) who() string {
	if s.UID == 0 && s.User == "root" || s.UID == nobody && s.User == "nobody" {
		return s.User
	}
	return fmt.Sprintf("uid %d", s.UID)
}

func owner(s Sandbox) string { return fmt.Sprintf("%d:%d", s.OwnerUID, s.OwnerGID) }

// summary is "as nobody on the host's system folders".
func (s Sandbox) summary() string {
	out := "as " + s.who()
	if s.Base == "host" {
		out += " on the host's system folders, read-only"
	}
	if len(s.Capabilities) > 0 {
		out += ", with " + strings.Join(s.Capabilities, ", ")
	}
	return out
}

func userAccess(from, to Sandbox) plan.Access {
	switch {
	case from.UID != 0 && to.UID == 0:
		return plan.Widen
	case from.UID == 0 && to.UID != 0:
		return plan.Narrow
	}
	return plan.Same
}

// setAccess compares two sets of rights.
func setAccess(from, to []string) plan.Access {
	a := plan.Same
	if slices.ContainsFunc(to, func(s string) bool { return !slices.Contains(from, s) }) {
		a = a.Add(plan.Widen)
	}
	if slices.ContainsFunc(from, func(s string) bool { return !slices.Contains(to, s) }) {
		a = a.Add(plan.Narrow)
	}
	return a
}

// changedAccess is for what can't be compared: it may go both ways.
func changedAccess(from, to string) plan.Access {
	if from == to {
		return plan.Same
	}
	return plan.Both
}

// describeEnvironment tells which variables change, and never their values: a
// plan is shown, saved and pasted into reviews.
func describeEnvironment(c plan.Change) plan.Description {
	var from, to Environment
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	d := plan.Description{Items: secretItems(from.Secrets, to.Secrets)}
	if !hasFrom || !hasTo {
		return d // the sandbox's own line says the rest
	}
	if slices.ContainsFunc(d.Items, func(it plan.Item) bool { return it.Action == plan.Update }) {
		d.Notes = append(d.Notes, "commands that run now keep the secrets that they were given")
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(from.Vars)), maps.Keys(to.Vars))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		before, was := from.Vars[name]
		after, is := to.Vars[name]
		if was == is && before == after {
			continue
		}
		d.Items = append(d.Items, plan.Item{Name: "env." + name, Action: wording.Action(was, is)})
	}
	d.Items = append(d.Items, wording.Changed("dir", from.Dir, to.Dir, plan.Same)...)
	return d
}

// concealed stands where a value is not shown.
const concealed = "(sensitive value)"

// Conceal implements kinds.Concealer: the values of variables are what commands get,
// and hashes of secrets are for comparing. Names, and where secrets come from, are
// shown.
func (Words) Conceal(addr string, attrs json.RawMessage) (shown, hidden json.RawMessage) {
	if addr != EnvironmentAddr {
		return attrs, nil
	}
	var e Environment
	var mask struct {
		Vars    map[string]bool   `json:"vars,omitempty"`
		Secrets []map[string]bool `json:"secrets,omitempty"`
	}
	if json.Unmarshal(attrs, &e) != nil {
		return json.RawMessage(strconv.Quote(concealed)), json.RawMessage("true")
	}
	mask.Vars = map[string]bool{}
	for name := range e.Vars {
		e.Vars[name], mask.Vars[name] = concealed, true
	}
	for i := range e.Secrets {
		m := map[string]bool{}
		if e.Secrets[i].Hash != "" {
			e.Secrets[i].Hash, m["hash"] = concealed, true
		}
		mask.Secrets = append(mask.Secrets, m)
	}
	shown, err := json.Marshal(e)
	if err == nil {
		hidden, err = json.Marshal(mask)
	}
	if err != nil {
		return json.RawMessage(strconv.Quote(concealed)), json.RawMessage("true")
	}
	return shown, hidden
}
