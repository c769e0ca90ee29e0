package pep440

// Prereleases is the policy for pre-releases.
type Prereleases uint8

const (
	// IfNecessary takes pre-releases when a clause names one, or when nothing
	// else satisfies the clauses. It is the default of PEP 440.
	IfNecessary Prereleases = iota
	// Always takes pre-releases like any other version.
	Always
	// Never leaves pre-releases out.
	Never
)

// AllowsPrereleases reports whether a clause names a pre-release, and by that
// asks for them: ">=2.0b1" does, "!=2.0b1" doesn't.
func (ss Specifiers) AllowsPrereleases() bool {
	for _, s := range ss {
		if s.Op != NotEqual && s.Version.IsPrerelease() {
			return true
		}
	}
	return false
}

// Filter returns the versions that satisfy ss under the policy, in their order.
func (ss Specifiers) Filter(policy Prereleases, versions []Version) []Version {
	var final, all []Version
	for _, v := range versions {
		if !ss.Contains(v) {
			continue
		}
		all = append(all, v)
		if !v.IsPrerelease() {
			final = append(final, v)
		}
	}
	switch {
	case policy == Never:
		return final
	case policy == Always, ss.AllowsPrereleases(), len(final) == 0:
		return all
	}
	return final
}
