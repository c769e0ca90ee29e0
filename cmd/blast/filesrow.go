package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"blast.example/blast/config/wording"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/network/traffic"
)

// fileWidths are those of the columns that differ, in characters. They grow with what is
// shown.
type fileWidths struct{ path, who int }

// Bounds of what a sandbox may fill a column with, in characters. A column grows as long
// as that is readable.
const (
	maxPath  = 200
	widePath = 50
	wideWho  = 24
)

// text is a line of the record for a person.
func (s *fileSights) text(v any) string {
	switch v := v.(type) {
	case *access.Access:
		return s.row(*v)
	case *access.Alert:
		return fmt.Sprintf("%s  ALERT    %s: %s%s\n", clock(v.Time), v.Name, alertText(*v), afterwards(*v))
	case *access.Gap:
		return gapText(*v)
	case *access.Path:
		return pathText(*v)
	case *access.Totals:
		return useTotals(*v)
	case *access.Missed:
		return fmt.Sprintf("          %d lines came faster than they were read\n", v.Lines)
	}
	return ""
}

func (s *fileSights) row(x access.Access) string {
	target := shownPath(x.Path)
	if x.Folder {
		target += "/"
	}
	if x.To != "" {
		target += " -> " + shownPath(x.To)
	} else if x.Op == filesystem.Rename {
		target += " -> out of sight"
	}
	who := whoDid(x.Process)
	s.widths.path = max(s.widths.path, 24, min(utf8.RuneCountInString(target), widePath))
	s.widths.who = max(s.widths.who, 12, min(utf8.RuneCountInString(who), wideWho))
	size, found := "", ""
	if x.Size > 0 || x.Op == filesystem.Write {
		size = bytesOf(uint64(max(x.Size, 0)))
	}
	if x.Found {
		found = "found in a new folder"
	}
	if x.Path == "" {
		target = "(not known)"
	}
	more := details(size, found, refusedBecause(x), missed(x.Missed))
	line := fmt.Sprintf("%-8s  %-7s  %-*s  %-*s  %s", clock(x.Time), x.Op, s.widths.path, target, s.widths.who, who, more)
	return s.u.fit(strings.TrimRight(line, " ")) + "\n"
}

// refusedBecause is what was tried, what the kernel said, and which line decided that.
func refusedBecause(x access.Access) string {
	if x.Op != filesystem.Denied {
		return ""
	}
	s := cell(wording.Foreign(x.Tried, maxWho)) + ": " + cell(wording.Foreign(x.Error, maxWho))
	if x.Via != "" {
		s += ", leads to " + shownPath(x.Via)
	}
	if x.Why != "" {
		s += ", " + sentence(x.Why, maxReason)
	}
	if x.Place != "" {
		s += " (" + sentence(x.Place, maxReason) + ")"
	}
	return s
}

// shownPath is a path that a sandbox chose, as one word that can be pasted into a shell of
// the sandbox: what can't be seen, or looks like more columns, is quoted as in $'...' of
// bash(1).
func shownPath(p string) string {
	plain := func(r rune) bool {
		return unicode.IsPrint(r) && !strings.ContainsRune(" '\"\\$`", r) && r != utf8.RuneError
	}
	if i := strings.IndexFunc(p, func(r rune) bool { return !plain(r) }); i >= 0 {
		p = "$'" + strings.ReplaceAll(strings.Trim(strconv.QuoteToGraphic(p), `"`), "'", `\'`) + "'"
	}
	return wording.Foreign(p, maxPath)
}

// whoDid is a process in few words.
func whoDid(p access.Process) string {
	return strings.TrimSuffix(whoOf(traffic.Process{PID: p.PID, Command: p.Command, Script: p.Script, Unknown: p.Unknown}), " (0)")
}

// alertText is what an alert saw: "200 x delete within 10s".
func alertText(a access.Alert) string { return sentence(a.Text(), 2*maxPath) }

// afterwards is what became of it.
func afterwards(a access.Alert) string {
	s := map[string]string{
		filesystem.Log:    "",
		filesystem.Freeze: "; the environment was frozen: blast thaw lets it go on",
		filesystem.Kill:   "; all commands were killed",
	}[a.Action]
	if a.Failed != "" {
		s = "; but " + a.Action + " failed: " + sentence(a.Failed, maxReason)
	}
	if a.Place != "" {
		s += "  (" + sentence(a.Place, maxReason) + ")"
	}
	return s
}

func gapText(g access.Gap) string {
	when := "from " + clock(g.From)
	if !g.To.IsZero() {
		when = "not in full from " + clock(g.From) + " to " + clock(g.To)
	}
	where := ""
	if g.Path != "" {
		where = " in " + shownPath(g.Path)
	}
	return fmt.Sprintf("%s  GAP      %s%s: %s\n", clock(timeOfUse(&g)), when, where, sentence(g.Reason, maxReason))
}

// pathText is the history of a path.
func pathText(p access.Path) string {
	var ops []string
	for _, op := range slices.Sorted(maps.Keys(p.Ops)) {
		ops = append(ops, fmt.Sprintf("%d x %s", p.Ops[op], cell(wording.Foreign(op, maxWho))))
	}
	size := ""
	if p.Size > 0 {
		size = bytesOf(uint64(p.Size))
	}
	return fmt.Sprintf("%s  %s  %s, first at %s, last by %s\n", clock(p.Last), shownPath(p.Path), details(strings.Join(ops, ", "), size), clock(p.First), whoDid(p.By))
}

// useTotals counts everything.
func useTotals(t access.Totals) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nSince %s:", when(t.Since))
	for _, op := range slices.Sorted(maps.Keys(t.Ops)) {
		fmt.Fprintf(&b, "  %d x %s", t.Ops[op], cell(wording.Foreign(op, maxWho)))
		if n := t.Bytes[op]; n > 0 {
			fmt.Fprintf(&b, " (%s)", bytesOf(uint64(n)))
		}
	}
	if len(t.Ops) == 0 {
		b.WriteString("  nothing")
	}
	b.WriteByte('\n')
	for _, name := range slices.Sorted(maps.Keys(t.Fired)) {
		fmt.Fprintf(&b, "Alert %s fired %s.\n", cell(wording.Foreign(name, maxWho)), counted(t.Fired[name], "time"))
	}
	if t.Missed > 0 {
		fmt.Fprintf(&b, "%d accesses came too fast to be on record one by one.\n", t.Missed)
	}
	if t.Lost > 0 {
		fmt.Fprintf(&b, "The kernel lost accesses %s: there was more at once than it keeps. These numbers are the least that happened.\n", counted(t.Lost, "time"))
	}
	if t.Dropped > 0 {
		fmt.Fprintf(&b, "%d lines could not be written: is the disk of /run full?\n", t.Dropped)
	}
	return b.String()
}
