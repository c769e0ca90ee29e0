package state

import (
	"strings"
	"testing"
)

// TestNamesThatLeadElsewhere: a name given with --env may come from a stranger, as that of
// a branch does.
func TestNamesThatLeadElsewhere(t *testing.T) {
	for _, good := range []string{"default", "a", "A-b_9", "0", strings.Repeat("x", 63)} {
		if err := CheckName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", ".", "..", "../x", "a/b", "/etc", "-a", "_a", "a.b", "a\n", "a b", "ü", strings.Repeat("x", 64)} {
		if CheckName(bad) == nil {
			t.Errorf("%q can name an environment", bad)
		}
	}
}

// JSON has no bytes that are no text: "a\xff" would come to the daemon as another folder.
func TestProjectThatCantBeTold(t *testing.T) {
	if CheckProject("/p/a\xff") == nil || CheckProject("/p/a\ufffd b\n") != nil {
		t.Error("wrong")
	}
}
