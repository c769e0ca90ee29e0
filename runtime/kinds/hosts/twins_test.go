package hosts_test

import (
	"log/slog"
	"maps"
	"slices"
	"testing"

	"blast.example/blast/runtime/kinds/hosts"
	"blast.example/blast/runtime/kinds/words"
)

// What can be written has a half that applies it, and the other way round.
func TestSameKindsAsWords(t *testing.T) {
	have := slices.Sorted(maps.Keys(hosts.With("/blast-init", "/wheels", slog.New(slog.DiscardHandler))))
	want := slices.Sorted(slices.Values(words.Names()))
	if !slices.Equal(have, want) {
		t.Errorf("hosts are %q, words %q", have, want)
	}
}
