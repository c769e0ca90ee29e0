package filesystem

import (
	"strings"
	"testing"

	"blast.example/blast/config/configtest"
)

// What can't be asked for is refused with its reason.
func TestOptionsAreValidated(t *testing.T) {
	for line, want := range map[string]string{
		`options = ["noexec"]`:                  "",
		`options = ["nosuid", "nodev", "exec"]`: "",
		`options = ["suid"]`:                    "owner of a program",
		`options = ["dev"]`:                     "device node",
		`options = ["ro"]`:                      `access = "ro"`,
		`options = ["exec", "noexec"]`:          "Remove one of them",
		`options = ["remount"]`:                 "there are nosuid",
		`options = "noexec"`:                    "must be a list",
	} {
		for _, text := range []string{"workspace {\n" + line + "\n}", "mount \"/srv/x\" {\nsource = \"src\"\n" + line + "\n}", "tmpfs \"/srv/x\" {\nsize = \"1MiB\"\n" + line + "\n}", "tmpfs \"/tmp\" {\nsize = \"1MiB\"\n" + line + "\n}"} {
			dir := project(t, text)
			_, diags := configtest.Load(t, dir, Words{})
			if want == "" && diags.HasErrors() || want != "" && (len(diags) != 1 || !strings.Contains(diags[0].Detail, want)) {
				t.Errorf("%s: %v\nwant %q", text, diags, want)
			}
		}
	}
}
