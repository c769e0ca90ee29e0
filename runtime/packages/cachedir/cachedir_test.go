package cachedir

import (
	"os"
	"testing"
)

func TestPath(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	t.Setenv("XDG_CACHE_HOME", "/c")
	if got := Path("wheels"); got != "/c/blast/wheels" {
		t.Errorf("%q", got)
	}
	want := "/home/me/.cache/blast/wheels"
	if os.Geteuid() == 0 {
		want = "/var/cache/blast/wheels"
	}
	for _, unset := range []string{"", "relative"} {
		t.Setenv("XDG_CACHE_HOME", unset)
		if got := Path("wheels"); got != want {
			t.Errorf("XDG_CACHE_HOME=%q: %q, want %q", unset, got, want)
		}
	}
}
