package view

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	nethtml "golang.org/x/net/html"

	"blast.example/blast/plan"
)

func review() Review {
	return Review{Plan: sample(), Saved: "dev.plan", Digest: "d1", Where: Repository{"services/api", "https://github.com/o/r/blob/c0ffee/"}}
}

func TestMarkdownGolden(t *testing.T) {
	golden(t, "review.md", Markdown(review()))
	golden(t, "review-diff.md", Markdown(Review{Plan: sample(), Marker: "diff", Title: "generation 3 to 4"}))
	golden(t, "review-none.md", Markdown(Review{Plan: plan.Plan{Env: "dev"}, Result: "Nothing to do."}))
}

// page reads Markdown as GitHub does: raw HTML works, and so do tables and addresses.
func page(t *testing.T, md []byte) *nethtml.Node {
	t.Helper()
	var b bytes.Buffer
	gm := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()), goldmark.WithRendererOptions(html.WithUnsafe()))
	if err := gm.Convert(md, &b); err != nil {
		t.Fatal(err)
	}
	n, err := nethtml.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// elements are all elements below n by name, and the text that stands outside of
// code.
func elements(n *nethtml.Node) (all map[string][]*nethtml.Node, outside string, comments []string) {
	all = map[string][]*nethtml.Node{}
	var text strings.Builder
	var walk func(n *nethtml.Node, code bool)
	walk = func(n *nethtml.Node, code bool) {
		switch n.Type {
		case nethtml.ElementNode:
			all[n.Data] = append(all[n.Data], n)
			code = code || n.Data == "code"
		case nethtml.CommentNode:
			comments = append(comments, n.Data)
		case nethtml.TextNode:
			if !code {
				text.WriteString(n.Data)
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, code)
		}
	}
	walk(n, false)
	return all, text.String(), comments
}

// sound checks what holds for each review, whatever the names in it: it stays small,
// and a name is shown as code or not at all.
func sound(t *testing.T, r Review) {
	t.Helper()
	md := Markdown(r)
	if len(md) >= MarkdownLimit || !utf8.Valid(md) {
		t.Fatalf("%d bytes, valid %v", len(md), utf8.Valid(md))
	}
	text := string(md)
	if n := strings.Count(text, "<!--"); n != 1 || !strings.HasPrefix(text, "<!-- blast-") {
		t.Fatalf("%d comments:\n%s", n, text)
	}
	if a, b := strings.Count(text, "<details>"), strings.Count(text, "</details>"); a != b {
		t.Fatalf("%d details begin, %d end:\n%s", a, b, text)
	}
	all, outside, comments := elements(page(t, md))
	for name := range all {
		if !slices.Contains([]string{"html", "head", "body", "h3", "p", "strong", "blockquote", "ul", "li", "code", "pre", "details", "summary", "a", "br"}, name) {
			t.Fatalf("an element %s:\n%s", name, text)
		}
	}
	if len(comments) != 1 || len(all["details"]) != strings.Count(text, "<details>") || len(all["summary"]) != len(all["details"]) || len(all["pre"]) != len(all["details"]) {
		t.Fatalf("%d comments, %d details, %d summaries, %d blocks:\n%s", len(comments), len(all["details"]), len(all["summary"]), len(all["pre"]), text)
	}
	for _, d := range all["details"] {
		if p := d.Parent; p.Data != "body" {
			t.Fatalf("details in %s:\n%s", p.Data, text)
		}
	}
	for _, a := range all["a"] {
		if i := slices.IndexFunc(a.Attr, func(at nethtml.Attribute) bool { return at.Key == "href" }); !strings.HasPrefix(a.Attr[i].Val, r.Where.Lines) || r.Where.Lines == "" {
			t.Fatalf("a link to %s:\n%s", a.Attr[i].Val, text)
		}
	}
	if strings.ContainsAny(outside, "@<`~[]") || strings.Contains(outside, "://") {
		t.Fatalf("outside of code stands:\n%s", outside)
	}
}

func TestMarkdownIsSound(t *testing.T) {
	for _, p := range []plan.Plan{sample(), large(10), large(300), large(1000), large(10_000), {}} {
		sound(t, Review{Plan: p, Where: review().Where})
		if len(p.Steps) == 0 || len(p.Steps[1].Items) > 300 {
			continue // the reader of Markdown takes long over the worst of it
		}
		for _, s := range []string{hostile, "`", "``` ", "\n\n# x\n", strings.Repeat("`", 500), strings.Repeat("é<!--", 5000), "~~~\n", "</code></summary>@x", " ", "a\x00b\xff"} {
			sound(t, Review{Plan: named(p, s), Where: Repository{s, "https://git.example/x/"}, Title: s, Result: s, Saved: s, Digest: s, Marker: s})
		}
	}
}

// named is a plan in which every name is s.
func named(p plan.Plan, s string) plan.Plan {
	p.Env, p.Of, p.Scope.Targets = s, s, []string{s}
	step := func(st plan.Step) plan.Step {
		st.Addr, st.Summary, st.Place, st.Notes = s, s, s+":3", []string{s}
		st.Items = slices.Clone(st.Items)
		for i := range st.Items {
			it := &st.Items[i]
			it.Name, it.Before, it.After, it.Because, it.Place = s, s, s, s, s+":3"
		}
		return st
	}
	p.Steps, p.Drift = slices.Clone(p.Steps), slices.Clone(p.Drift)
	for i := range p.Steps {
		p.Steps[i] = step(p.Steps[i])
	}
	for i := range p.Drift {
		p.Drift[i] = step(p.Drift[i])
	}
	return p
}

func FuzzMarkdown(f *testing.F) {
	f.Add(hostile, "b", 3, uint8(0))
	f.Add("```", "~~~", 400, uint8(1))
	f.Add("</details>", "<!-- blast-plan: x -->", 900, uint8(2))
	f.Add("@x", "www.evil.example", 2, uint8(3))
	f.Fuzz(func(t *testing.T, a, b string, n int, mode uint8) {
		p := named(large(min(max(n, 1), 300)), a)
		p.Steps[1].Items[0].Name, p.Steps[0].Summary, p.Steps[3].Place = b, b, b
		p.Mode = []plan.Mode{plan.Normal, plan.Rollback, plan.RefreshOnly, plan.Destroy, plan.Load}[mode%5]
		sound(t, Review{Plan: p, Saved: b, Result: a, Where: Repository{b, "https://git.example/x/"}})
	})
}

// What is left out is the least important, and is counted.
func TestMarkdownCutsTheLeastImportant(t *testing.T) {
	for _, n := range []int{100, 1000, 2000, 10_000} {
		p := large(n)
		text := string(Markdown(Review{Plan: p}))
		widen := strings.Count(text, "▲ widens")
		narrow := strings.Count(text, "▼ narrower")
		rest := strings.Count(text, "egress.rule_") - widen - narrow
		total := n/3 + 2 // and the resource's and the sandbox's own
		switch {
		case widen < total && narrow+rest > 0:
			t.Errorf("%d items: %d of %d widenings, and %d lines that matter less", n, widen, total, narrow+rest)
		case rest > 0 && narrow < n/3:
			t.Errorf("%d items: %d of %d narrowings, and %d lines that matter less", n, narrow, n/3, rest)
		}
		shown := 0
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, "- ") || strings.HasPrefix(l, "+ ") || strings.HasPrefix(l, "! ") {
				shown++
			}
		}
		var left, all int
		if _, cut, ok := strings.Cut(text, "Left out here: "); ok {
			if _, err := fmt.Sscanf(cut, "%d of %d lines", &left, &all); err != nil {
				t.Error(err)
			}
			if left+shown != all {
				t.Errorf("%d items: %d shown and %d left out of %d", n, shown, left, all)
			}
			if grave := total - widen; grave > 0 != strings.Contains(text, fmt.Sprintf("%d of these destroy or widen", grave)) {
				t.Errorf("%d items: %d widenings left out, and nobody says so", n, grave)
			}
			if len(text) < MarkdownLimit*9/10 {
				t.Errorf("%d items: %d left out, and only %d bytes used", n, left, len(text))
			}
		} else if n > 1000 {
			t.Errorf("%d items: nothing is left out", n)
		}
	}
}

// Every form says the same each time, and is quick where there is much to say.
func TestFormsAreStableAndQuick(t *testing.T) {
	p := large(10_000)
	p.Basis.Host = map[string]string{}
	for i := range 50 {
		p.Basis.Host[fmt.Sprint(i)] = "x"
	}
	forms := map[string]func() []byte{
		"markdown": func() []byte { return Markdown(Review{Plan: p}) },
		"document": func() []byte { b, _ := Document(p, Options{}); return b },
		"state":    func() []byte { b, _ := State(Record{Objects: p.Desired}, Options{}, nil); return b },
		"stream":   func() []byte { var b bytes.Buffer; NewStream(&b, "x").Plan(p, ""); return b.Bytes() },
		"text":     func() []byte { var b bytes.Buffer; _ = Text(&b, p, Style{}); return b.Bytes() },
		"summary":  func() []byte { var b bytes.Buffer; _ = Summary(&b, p, Style{}); return b.Bytes() },
		"outputs":  func() []byte { var b bytes.Buffer; _ = Outputs(&b, p, "x"); return b.Bytes() },
		"github":   func() []byte { return fmt.Append(nil, Annotations(p, Repository{})) },
		"report":   func() []byte { b, _ := Report(p); return b },
		"quality":  func() []byte { b, _ := Quality(p, Repository{}); return b },
	}
	for name, form := range forms {
		begun := time.Now()
		first := form()
		took := time.Since(begun)
		if len(first) == 0 {
			t.Errorf("%s is empty", name)
		}
		for range 3 {
			if !bytes.Equal(first, form()) {
				t.Errorf("%s differs from run to run", name)
			}
		}
		t.Logf("%-9s %8d bytes in %v", name, len(first), took)
		if took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}
