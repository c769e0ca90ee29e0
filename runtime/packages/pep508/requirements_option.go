package pep508

import "strings"

// longOption maps pip's short options to their long names.
var longOption = map[string]string{
	"-r": "--requirement", "-c": "--constraint", "-e": "--editable",
	"-i": "--index-url", "-f": "--find-links",
}

// optionAnswers says for each option of a requirements file why it doesn't
// count and what to do instead.
var optionAnswers = map[string]string{
	"--editable":        "A sandbox sees the project in its workspace already; set PYTHONPATH for it, and list its requirements here.",
	"--index-url":       "Which index is asked is part of the policy: write index = [...] into the python block of blast.hcl.",
	"--extra-index-url": "Which index is asked is part of the policy: add it to index = [...] in the python block of blast.hcl. The first index that has a project is used for it.",
	"--find-links":      "Packages come from indexes only: write index = [...] into the python block of blast.hcl.",
	"--no-index":        "Packages come from indexes only: write index = [...] into the python block of blast.hcl.",
	"--trusted-host":    "Certificates are always checked. Serve the index over https with a certificate that this machine trusts.",
	"--pre":             "Pre-releases are chosen by requirement: write one into the version, as in name>=2.0rc1.",
	"--require-hashes":  "Hashes are always checked against the lock. Remove the line.",
	"--only-binary":     "Only wheels are installed anyway. Remove the line.",
	"--prefer-binary":   "Only wheels are installed anyway. Remove the line.",
	"--no-binary":       "Only wheels are installed: a source distribution would run its own code to be built. Remove the line.",
}

// option reads a line that begins with "-".
func (f *requirementsFile) option(number int, text string) {
	name, value := cutOption(text)
	switch answer, known := optionAnswers[name]; {
	case name == "--requirement" || name == "--constraint":
		f.other(number, name, value)
	case known:
		f.problem(number, "Option is not supported", "%s: %s", name, answer)
	default:
		f.problem(number, "Option is not supported", "%s is no option that Blast knows. Remove the line.", name)
	}
}

// cutOption reads "--name value", "--name=value", "-n value" and "-nvalue".
func cutOption(text string) (name, value string) {
	if !strings.HasPrefix(text, "--") && len(text) >= 2 {
		if long, ok := longOption[text[:2]]; ok {
			return long, unquote(strings.TrimSpace(text[2:]))
		}
	}
	i := strings.IndexAny(text, " \t=")
	if i < 0 {
		return text, ""
	}
	return text[:i], unquote(strings.TrimSpace(text[i+1:]))
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// other is a line that names another file.
func (f *requirementsFile) other(number int, option, target string) {
	switch {
	case target == "":
		f.problem(number, "No file named", "%s needs the name of a file, as in %s base.txt.", option, option)
	case f.include == nil:
		f.problem(number, "Other files are not read here", "%s %s names another file. Name that file as the manifest, or copy its lines.", option, target)
	default:
		f.include(f, number, target, option == "--constraint")
	}
}
