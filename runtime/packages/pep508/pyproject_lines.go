package pep508

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// key joins the parts of a TOML key. NUL can't stand in one.
func key(parts ...string) string { return strings.Join(parts, "\x00") }

// stringLines finds the line of every string in a TOML document, by the key of
// its array or of itself; entries that are no strings have line 0. It expects a
// document that decodes, and else returns what it found.
func stringLines(data []byte) map[string][]int {
	out := map[string][]int{}
	var p unstable.Parser
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = keyParts(nil, e.Key())
		case unstable.KeyValue:
			keyLines(&p, out, table, e)
		}
	}
	return out
}

func keyLines(p *unstable.Parser, out map[string][]int, table []string, e *unstable.Node) {
	path := keyParts(table, e.Key())
	switch v := e.Value(); v.Kind {
	case unstable.String:
		out[key(path...)] = []int{lineOf(p, v)}
	case unstable.Array:
		for it := v.Children(); it.Next(); {
			out[key(path...)] = append(out[key(path...)], lineOf(p, it.Node()))
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			keyLines(p, out, path, it.Node())
		}
	}
}

func lineOf(p *unstable.Parser, n *unstable.Node) int {
	if n.Kind != unstable.String || n.Raw.Length == 0 {
		return 0
	}
	return p.Shape(n.Raw).Start.Line
}

func keyParts(table []string, it unstable.Iterator) []string {
	out := append([]string(nil), table...)
	for it.Next() {
		out = append(out, string(it.Node().Data))
	}
	return out
}
