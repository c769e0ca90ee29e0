package pylock

import (
	"net/url"
	"path"
	"strings"

	"blast.example/blast/runtime/packages/pep440"
	"blast.example/blast/runtime/packages/tags"
)

// unusable says why Blast can't install a package.
func (p tomlItem) unusable(pkg Package) string {
	switch {
	case p.VCS != nil:
		return "it comes from a version control system"
	case p.Directory != nil:
		return "it is a folder of source"
	case p.Archive != nil:
		return "it is an archive of source"
	case len(p.Wheels) == 0 && p.Sdist != nil:
		return "it has a source distribution only, no wheel"
	case len(p.Wheels) == 0:
		return "it names no file"
	}
	if _, err := pep440.Parse(pkg.Version); err != nil {
		return "its version is missing or invalid"
	}
	for _, w := range pkg.Wheels {
		if w.Unusable == "" {
			return ""
		}
	}
	return "no wheel of it can be used: " + pkg.Wheels[0].Unusable
}

// unusableWheel says why Blast can't install a wheel of p.
func unusableWheel(w Wheel, p Package) string {
	name, err := tags.ParseWheelName(w.Name)
	version, _ := pep440.Parse(p.Version) // reported at the package
	switch u, uerr := url.Parse(w.URL); {
	case err != nil:
		return "its file name is not a wheel's"
	case name.Name != p.Name || name.Version.Compare(version) != 0:
		return "its file name is of another project or version"
	case w.URL == "":
		return "it has no url"
	case uerr != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "its url is not http or https"
	case !isSHA256(w.SHA256):
		return "it has no sha256"
	}
	return ""
}

// lastPart is the file name at the end of a location.
func lastPart(rawURL, file string) string {
	if u, err := url.Parse(rawURL); err == nil && rawURL != "" {
		file = u.Path
	}
	if file == "" || strings.HasSuffix(file, "/") {
		return ""
	}
	return path.Base(file)
}
