// Package cachedir says where Blast keeps what it could fetch again: answers of
// indexes, unpacked wheels, what interpreters say of themselves.
package cachedir

import (
	"os"
	"path/filepath"
)

// Path is the folder for one kind of thing, which need not be there yet; "" if this
// user has none.
func Path(kind string) string {
	root := Root()
	if root == "" {
		return ""
	}
	return filepath.Join(root, kind)
}

// Root holds them all. It is below XDG_CACHE_HOME (XDG Base Directory
// Specification), or else for root the machine's, /var/cache (FHS 5.5), and below
// the home for others. Root's is never in a person's home, not even under sudo -E:
// whoever may write there could choose what is installed.
func Root() string {
	dir := os.Getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(dir) {
		dir = "/var/cache"
		if os.Geteuid() != 0 {
			home, err := os.UserHomeDir()
			if err != nil {
				return ""
			}
			dir = filepath.Join(home, ".cache")
		}
	}
	return filepath.Join(dir, "blast")
}
