package pathglob

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"/workspace/src", "/workspace/src", true},
		{"/workspace/src", "/workspace/src/a/b.py", true},
		{"/workspace/src", "/workspace/srcs", false},
		{"/workspace/*.pem", "/workspace/a.pem", true},
		{"/workspace/*.pem", "/workspace/b/a.pem", false},
		{"/workspace/**/*.pem", "/workspace/a.pem", true},
		{"/workspace/**/*.pem", "/workspace/b/c/a.pem", true},
		{"/workspace/**/*.pem", "/srv/b/c/a.pem", false},
		{"/workspace/**", "/workspace", true},
		{"/**/keys", "/workspace/keys/one", true},
		{"*.pem", "/workspace/b/a.pem", true},
		{"*.pem", "/workspace/x.pem/y", true},
		{"*.pem", "/workspace/a.pem2", false},
		{"/", "/anything", true},
		{"/", "/", true},
		{"/a?[0-9]", "/ab7", true},
		{"/a?[0-9]", "/a/7", false},
		{"/[", "/[", false},
		{`/a\*`, "/a*", true},
		{`/a\*`, "/ab", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
	if !Any(nil, "/x") || Any([]string{"/a", "/b"}, "/c") || !Any([]string{"/a", "/b"}, "/b/c") {
		t.Error("Any")
	}
}

func TestCheck(t *testing.T) {
	for pattern, want := range map[string]error{
		"/a/**/b": nil, "*.py": nil, "/": nil, "": ErrClean, "a/b": ErrRelative, "/a//b": ErrClean, "/a/../b": ErrClean, "/a/": ErrClean,
		"/[a": path.ErrBadPattern, strings.Repeat("/a", 65): ErrLong,
	} {
		if err := Check(pattern); !errors.Is(err, want) {
			t.Errorf("Check(%q) = %v, want %v", pattern, err, want)
		}
	}
}

func TestBase(t *testing.T) {
	for pattern, want := range map[string]string{"/": "/", "/a/b": "/a/b", "/a/*/b": "/a", "/*": "/", "*.pem": "/", "/a/**": "/a", `/a/\*`: "/a"} {
		if got := Base(pattern); got != want {
			t.Errorf("Base(%q) = %q, want %q", pattern, got, want)
		}
	}
}

// TestWorstPatternIsQuick: a sandbox chooses the path.
func TestWorstPatternIsQuick(t *testing.T) {
	start := time.Now()
	Match("/**/a/**/a/**/a/**/b", strings.Repeat("/a", 2047))
	if d := time.Since(start); d > time.Second {
		t.Error(d)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("/a/**/b*", "/a/c/bd")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if Match(pattern, name) && Check(pattern) == nil && !Match(pattern, name+"/below") {
			t.Errorf("%q matches %q and not what is below", pattern, name)
		}
	})
}

func TestLiteral(t *testing.T) {
	for pattern, want := range map[string]string{`a`: "a", `a\[1]`: "a[1]", `a\\b`: `a\b`, `\*`: "*", `*`: "", `a[1]`: "", `a\`: "", `?`: ""} {
		if got, ok := Literal(pattern); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v", pattern, got, ok)
		}
	}
	for _, name := range []string{`a`, `a[1]`, `*?[]\`, `\\`} {
		if got, ok := Literal(Escape(name)); !ok || got != name {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Below is true of each folder above a path that a pattern matches: else who looks for
// such paths would not find it.
func FuzzBelow(f *testing.F) {
	f.Add("/a/**/b", "/a/x/y/b")
	f.Add("/a/*/b", "/a/x/b")
	f.Add("b", "/a/x/b")
	f.Add("/**/a/**", "/x/a/y")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if Check(pattern) != nil || !path.IsAbs(name) || path.Clean(name) != name || name == "/" || !Exact(pattern, name) {
			return
		}
		if !Match(pattern, name) {
			t.Errorf("%s is %s exactly, and not at all", name, pattern)
		}
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			if !Below(pattern, dir) {
				t.Errorf("%s matches %s, and nothing below %s may", name, pattern, dir)
			}
			if dir == "/" {
				return
			}
		}
	})
}
