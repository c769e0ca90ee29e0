package signature

import (
	"strings"
	"testing"
	"time"
)

// What ssh-keygen says of a list, Blast says, too, where it takes the list at all.
func TestAllowedSignersLikeSSHKeygen(t *testing.T) {
	noAgent(t)
	t.Setenv("TZ", "UTC") // ssh-keygen's; this process' is what it was
	mine, other := newKey(t, "-t", "ed25519"), newKey(t, "-t", "ed25519")
	armored := sign(t, mine, nil)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, c := range map[string]struct {
		list string
		who  string
		want bool
	}{
		"named":                      {line(t, alice, "", mine), alice, true},
		"somebody else":              {line(t, alice, "", mine), "bob@example.com", false},
		"another key":                {line(t, alice, "", other), alice, false},
		"second line":                {line(t, alice, "", other) + line(t, alice, "", mine), alice, true},
		"comments and blanks":        {"# x\n\n  # y\n \t\n" + line(t, alice, "", mine), alice, true},
		"one of a list":              {line(t, "bob@example.com,"+alice, "", mine), alice, true},
		"star":                       {line(t, "*@example.com", "", mine), alice, true},
		"star elsewhere":             {line(t, "*@example.org", "", mine), alice, false},
		"question mark":              {line(t, "alic?@example.com", "", mine), alice, true},
		"question mark is one":       {line(t, "alice?@example.com", "", mine), alice, false},
		"everybody but":              {line(t, "*,!"+alice, "", mine), alice, false},
		"but, first":                 {line(t, "!bob@example.com,*", "", mine), alice, true},
		"only but":                   {line(t, "!bob@example.com", "", mine), alice, false},
		"names are exact":            {line(t, "ALICE@example.com", "", mine), alice, false},
		"quoted":                     {line(t, `"`+alice+`"`, "", mine), alice, true},
		"quoted with a blank":        {strings.Replace(line(t, "X", "", mine), "X", `"alice of example"`, 1), "alice of example", true},
		"for plans":                  {line(t, alice, `namespaces="blast-plan"`, mine), alice, true},
		"for git":                    {line(t, alice, `namespaces="git"`, mine), alice, false},
		"for both":                   {line(t, alice, `namespaces="git,blast-plan"`, mine), alice, true},
		"for a pattern":              {line(t, alice, `namespaces="blast-*"`, mine), alice, true},
		"for all but plans":          {line(t, alice, `namespaces="*,!blast-plan"`, mine), alice, false},
		"option in capitals":         {line(t, alice, `NameSpaces="blast-plan"`, mine), alice, true},
		"from now on":                {line(t, alice, `valid-after="20260304050607Z"`, mine), alice, true},
		"from a second later on":     {line(t, alice, `valid-after="20260304050608Z"`, mine), alice, false},
		"until now":                  {line(t, alice, `valid-before="20260304050607Z"`, mine), alice, true},
		"until a second ago":         {line(t, alice, `valid-before="20260304050606Z"`, mine), alice, false},
		"minutes":                    {line(t, alice, `valid-before="202603040506Z"`, mine), alice, false},
		"days":                       {line(t, alice, `valid-after="20260304Z",valid-before="20260305Z"`, mine), alice, true},
		"yesterday":                  {line(t, alice, `valid-before="20260304Z"`, mine), alice, false},
		"all options":                {line(t, alice, `valid-before="20260305Z",namespaces="blast-plan",valid-after="20260303Z"`, mine), alice, true},
		"first line is over, second": {line(t, alice, `valid-before="20260101Z"`, mine) + line(t, alice, "", mine), alice, true},
		"tabs":                       {strings.ReplaceAll(line(t, alice, `namespaces="blast-plan"`, mine), " ", "\t"), alice, true},
		"no comment":                 {strings.TrimSuffix(line(t, alice, "", mine), " a comment\n"), alice, true},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := keygenVerifies(t, armored, message, Namespace, c.list, c.who, now)
			if (theirs == nil) != c.want {
				t.Fatalf("ssh-keygen says %v", theirs)
			}
			got, err := Verify(armored, message, Namespace, parse(t, c.list).For(c.who), now)
			if (err == nil) != c.want || (got != "") != c.want {
				t.Errorf("Verify = %q, %v; ssh-keygen: %v", got, err, theirs)
			}
		})
	}
}

// Why a known key doesn't count is told, with the line.
func TestRefusalsNameTheLine(t *testing.T) {
	noAgent(t)
	key := newKey(t, "-t", "ed25519")
	armored := sign(t, key, nil)
	for options, want := range map[string]string{
		`namespaces="git"`:              `line 2 of the list of allowed signers allows for "git", not for "blast-plan"`,
		`valid-after="20990101Z"`:       "line 2 of the list of allowed signers allows only from 2099-01-01T00:00:00Z on",
		`valid-before="20200101Z"`:      "line 2 of the list of allowed signers allowed until 2020-01-01T00:00:00Z",
		`valid-before="19700101Z"`:      "until 1970-01-01T00:00:00Z",
		`valid-before="20200101123456"`: "until 2020-01-01T12:34:56" + time.Date(2020, 1, 1, 0, 0, 0, 0, time.Local).Format("Z07:00"),
	} {
		_, err := Verify(armored, message, Namespace, parse(t, "# one\n"+line(t, alice, options, key)), time.Now())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "SHA256:") {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
	}
}

func TestAllowedSignersErrors(t *testing.T) {
	noAgent(t)
	ed := newKey(t, "-t", "ed25519")
	pub := strings.TrimSpace(string(read(t, ed+".pub")))
	weak := line(t, alice, "", newKey(t, "-t", "rsa", "-b", "1024"))
	for text, want := range map[string]string{
		alice:                  "no key",
		alice + " ssh-ed25519": "no key",
		alice + " " + pub[:40]: "not whole",
		alice + " " + strings.Replace(pub, "AAAAC3", "AAAAC4", 1):       "not whole",
		alice + " " + strings.Replace(pub, "ssh-ed25519", "ssh-rsa", 1): `one of type "ssh-ed25519", not "ssh-rsa"`,
		alice + " ssh-dss AAAAB3NzaC1kc3M=":                             `type "ssh-dss" are not accepted`,
		alice + " ssh-ed25519-cert-v01@openssh.com AAAA":                "are not accepted",
		weak:                             "RSA key of 1024 bits",
		alice + " cert-authority " + pub: "certificates are not accepted",
		alice + " CERT-AUTHORITY,namespaces=\"x\" " + pub:                    "certificates are not accepted",
		alice + " verify-required " + pub:                                    `option "verify-required" is not known`,
		alice + " namespaces=blast-plan " + pub:                              "must be in quotes",
		alice + " namespaces=\"blast-plan " + pub:                            "no closing quote",
		alice + " namespaces=\"\" " + pub:                                    "no value",
		alice + " namespaces " + pub:                                         "no value",
		alice + " namespaces=\"a\",namespaces=\"b\" " + pub:                  "twice",
		alice + " namespaces=\"a\"x " + pub:                                  "behind the value",
		alice + " namespaces=\"a\", " + pub:                                  "end in a comma",
		alice + " ,namespaces=\"a\" " + pub:                                  `option "" is not known`,
		alice + " valid-after=\"tomorrow\" " + pub:                           `"tomorrow" is no time`,
		alice + " valid-after=\"20260230\" " + pub:                           "is no time",
		alice + " valid-after=\"20260101ZZ\" " + pub:                         "is no time",
		alice + " valid-after=\"20260102\",valid-before=\"20260101\" " + pub: "never count",
		`"alice ` + pub:             "quote is not closed",
		`"" ` + pub:                 "must begin with who",
		`a"b ` + pub:                "must begin with who",
		"alice\x1b[2J " + pub:       "control characters",
		"alice\xff " + pub:          "not UTF-8",
		alice + " " + pub + " \x00": "control characters",
	} {
		_, err := ParseAllowedSigners([]byte("# one\n\n" + text + "\n" + alice + " " + pub + "\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line 3: ") {
			t.Errorf("%q: %v, want line 3 and %q", text, err, want)
		}
	}
	if _, err := ParseAllowedSigners([]byte(strings.Repeat("#\n", maxAllowed))); err == nil {
		t.Error("a list without end is read")
	}
	if a := parse(t, "\r\n# nobody\r\n"+alice+" "+pub+"\r\n"); len(a.lines) != 1 {
		t.Errorf("%d lines of a file from Windows", len(a.lines))
	}
}
