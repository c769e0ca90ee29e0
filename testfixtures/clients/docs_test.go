package clients

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// row is a line of the table of clients: its name, and the rest.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)$")

// The table of docs/CLIENTS.md has the clients that are tried, with what they say.
func TestClientsAreListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/CLIENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[2]
	}
	for _, c := range clients() {
		if rest, ok := rows[c.name]; !ok || !strings.Contains(rest, c.refused) {
			t.Errorf("docs/CLIENTS.md doesn't say that %s says %q when it is refused: %q", c.name, c.refused, rest)
		}
		delete(rows, c.name)
	}
	for name := range rows {
		t.Errorf("docs/CLIENTS.md has %s, which is not tried", name)
	}
}
