//go:build linux

package mounts

import (
	"fmt"
	"strings"
	"testing"

	"blast.example/blast/runtime/filesystem"
)

func TestExpand(t *testing.T) {
	m := func(typ, target string) filesystem.Mount {
		return filesystem.Mount{Name: "n", Target: target, Type: typ, Size: 1}
	}
	for want, mounts := range map[string][]filesystem.Mount{
		"/w bind <-1; /w/a pin <0; /w/a/b hide <1; /w/a/c pin <1; /w/a/c/d read-only <3": {m("bind", "/w"), m("hide", "/w/a/b"), m("read-only", "/w/a/c/d")},
		"/w bind <-1; /w/a read-only <0; /w/a/b hide <1":                                 {m("bind", "/w"), m("hide", "/w/a/b"), m("read-only", "/w/a")},
		"/w bind <-1; /w/a pin <0; /w/a/b tmpfs <1; /w/a/b/c pin <2; /w/a/b/c/d hide <3": {m("bind", "/w"), m("tmpfs", "/w/a/b"), m("hide", "/w/a/b/c/d")},
		"/w bind <-1; /wx bind <-1; /wx/a hide <1":                                       {m("bind", "/w"), m("bind", "/wx"), m("hide", "/wx/a")},
		"two mounts at one place":                                                        {m("bind", "/w"), m("hide", "/w")},
		"which is hidden":                                                                {m("bind", "/w"), m("hide", "/w/a"), m("hide", "/w/a/b")},
		"nothing can be mounted there":                                                   {m("bind", "/usr/x")},
		"\"/w/\": nothing can":                                                           {m("bind", "/w/")},
		"\"/.mounts/x\": nothing":                                                        {m("bind", "/.mounts/x")},
		"\"w\": nothing":                                                                 {m("bind", "w")},
		"invalid mount of type \"nfs\"":                                                  {m("nfs", "/w")},
		"invalid mount of type \"pin\"":                                                  {m("pin", "/w")},
		"only a read-only file":                                                          {{Target: "/w", Type: "hide", Content: "x"}},
		"file can be made with":                                                          {{Target: "/w", Type: "read-only", Dir: true, Content: "x"}},
		"type \"layer\"":                                                                 {{Name: "../x", Target: "/w", Type: "layer"}},
	} {
		ws, err := expand(mounts)
		var all []string
		for _, w := range ws {
			all = append(all, fmt.Sprintf("%s %s <%d", w.Target, w.Type, w.parent))
		}
		if got := strings.Join(all, "; "); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %s %v\nwant %s", mounts, got, err, want)
		}
	}
}
