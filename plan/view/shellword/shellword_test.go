package shellword_test

import (
	"os/exec"
	"testing"

	"blast.example/blast/plan/view/shellword"
)

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a", "/p/.blast/default/state.json", "a b", "it's", "''", "$(touch x)", "`x`", "a\nb", "~", "*", "a;b", "\\", "\"", "é", "#x", "max=1"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellword.Quote(s)).CombinedOutput()
		if err != nil || string(out) != s {
			t.Errorf("%q: a shell reads %s as %q (%v)", s, shellword.Quote(s), out, err)
		}
	}
	if got := shellword.Quote("/p/a_b-1.json"); got != "/p/a_b-1.json" {
		t.Errorf("quoted without need: %s", got)
	}
}
