//go:build linux

package mountns

import (
	"strings"
	"testing"
)

func TestParseTable(t *testing.T) {
	rows, err := parseTable(strings.NewReader(`36 35 98:0 /a\040b /mnt\0112\134\043 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue
37 36 0:42 / /x ro,idmapped - tmpfs  rw,size=4k
`))
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if got, want := rows[0], (Row{36, 35, "98:0", "/a b", "/mnt\t2\\#", "rw,noatime", "ext3", "/dev/root", "rw,errors=continue"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := rows[1], (Row{37, 36, "0:42", "/", "/x", "ro,idmapped", "tmpfs", "", "rw,size=4k"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !rows[1].Has("idmapped") || rows[1].Has("id") || rows[0].Has("ro") {
		t.Error("Has")
	}
	for _, line := range []string{"", "36", "x 35 98:0 / / rw - a b c", "1 x 98:0 / / rw - a b c", "1 2 98:0 / / rw", "1 2 98:0 / / rw - a b", "1 2 3 - a b c"} {
		if _, err := parseTable(strings.NewReader(line + "\n")); err == nil {
			t.Errorf("%q was read", line)
		}
	}
}

func FuzzParseTable(f *testing.F) {
	f.Add("36 35 98:0 /a\\040b /mnt rw master:1 - ext3 /dev/root rw\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := parseTable(strings.NewReader(text))
		if err == nil && len(rows) > strings.Count(text, "\n")+1 {
			t.Errorf("%d rows of %q", len(rows), text)
		}
	})
}
