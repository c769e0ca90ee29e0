//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blast.example/blast/runtime/inside"
)

// NameServer is where a sandbox sends its questions (resolv.conf(5)). Whatever
// the address, the network kind's rules lead port 53 to Blast's own server. It is
// one of the addresses set aside for benchmarks (RFC 2544), and none in 127/8,
// which stays the sandbox's own.
const NameServer = "198.18.0.1"

// initPath is PID 1's program inside.
const initPath = "/.blast-init"

// A bind shows a path of the host in the sandbox, read-only.
type bind struct{ source, target string }

// A skeleton is the root folder of a sandbox before anything is mounted on it.
type skeleton struct {
	dirs  []entry           // a parent before what lies in it
	files map[string]string // target → content
	links map[string]string // target → where it leads
	binds []bind
}

// An entry is a folder and its mode. All is the host's root's: nobody inside can
// change a thing even if a mount were writable by mistake.
type entry struct {
	path string
	mode fs.FileMode
}

// skeleton says what the root of the sandbox holds.
func (s Spec) skeleton() (skeleton, error) {
	sk := skeleton{
		dirs: []entry{
			{"dev", 0o755}, {"etc", 0o755}, {"home", 0o755}, {"home/sandbox", 0o755}, {"proc", 0o555}, {"run", 0o755},
			{"sys", 0o555}, {"tmp", 0o755}, {"var", 0o755}, {"var/tmp", 0o755}, {"workspace", 0o755},
		},
		files: s.etc(),
		links: map[string]string{},
	}
	if err := sk.addHost(); err != nil {
		return sk, err
	}
	if s.Packages != "" {
		sk.dirs = append(sk.dirs, entry{PackagesDir[1:], 0o755})
		sk.binds = append(sk.binds, bind{s.Packages, PackagesDir})
	}
	if s.Inside != "" {
		sk.dirs = append(sk.dirs, entry{inside.Dir[1:], 0o755})
		sk.binds = append(sk.binds, bind{s.Inside, inside.Dir})
	}
	sk.files[initPath[1:]] = ""
	sk.binds = append(sk.binds, bind{s.Init, initPath})
	return sk, nil
}

// etc is what the sandbox sees of /etc that is not the host's.
func (s Spec) etc() map[string]string {
	passwd := "root:x:0:0:root:/root:/usr/sbin/nologin\n"
	group := "root:x:0:\n"
	if s.UID == 0 {
		passwd = fmt.Sprintf("%s:x:0:%d::%s:/bin/sh\n", s.User, s.GID, Home)
	} else {
		passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", s.User, s.UID, s.GID, Home)
	}
	if s.GID != 0 {
		group += fmt.Sprintf("%s:x:%d:\n", s.User, s.GID)
	}
	group += "tty:x:5:\n"
	return map[string]string{
		"etc/passwd":        passwd,
		"etc/group":         group,
		"etc/hostname":      s.Hostname + "\n",
		"etc/hosts":         "127.0.0.1 localhost " + s.Hostname + "\n::1 localhost ip6-localhost\n",
		"etc/resolv.conf":   "nameserver " + NameServer + "\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
	}
}

// hostTop are the folders of the host's root that programs live in. Where the
// host has a link (/bin → usr/bin), the sandbox gets the same link.
var hostTop = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// hostEtc are the parts of the host's /etc that programs need and that tell
// nothing about the host's people, services or secrets.
var hostEtc = []string{
	"etc/alternatives", "etc/ca-certificates", "etc/crypto-policies", "etc/fonts",
	// Debian's Java starts only with these. Passwords of its management stay out.
	"etc/java-*-openjdk/*.properties", "etc/java-*-openjdk/jvm-*.cfg", "etc/java-*-openjdk/security",
	"etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/localtime", "etc/mime.types", "etc/os-release", "etc/pki/ca-trust", "etc/pki/tls/certs",
	"etc/protocols", "etc/python3*", "etc/services", "etc/ssl/certs", "etc/ssl/openssl.cnf",
}

// addHost adds what is there of hostTop and hostEtc.
func (sk *skeleton) addHost() error {
	paths := hostTop
	for _, pattern := range hostEtc {
		found, err := filepath.Glob("/" + pattern)
		if err != nil {
			return fmt.Errorf("list /%s: %w", pattern, err)
		}
		for _, f := range found {
			paths = append(paths[:len(paths):len(paths)], f[1:])
		}
	}
	for _, p := range paths {
		if err := sk.addHostPath(p); err != nil {
			return err
		}
	}
	return nil
}

// addHostPath shows /p as it is on the host: a link, a folder or a file.
func (sk *skeleton) addHostPath(p string) error {
	st, err := os.Lstat("/" + p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("show /%s: %w", p, err)
	}
	for dir := filepath.Dir(p); dir != "." && dir != "etc"; dir = filepath.Dir(dir) {
		sk.dirs = append(sk.dirs, entry{dir, 0o755})
	}
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink("/" + p)
		if err != nil {
			return fmt.Errorf("show /%s: %w", p, err)
		}
		sk.links[p] = to
	case st.IsDir():
		sk.dirs = append(sk.dirs, entry{p, 0o755})
		sk.binds = append(sk.binds, bind{"/" + p, "/" + p})
	case st.Mode().IsRegular():
		sk.files[p] = ""
		sk.binds = append(sk.binds, bind{"/" + p, "/" + p})
	}
	return nil
}

// build makes the skeleton in dir, which must not be there.
func (sk skeleton) build(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("build skeleton: %w", err)
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("build skeleton: %w", err)
	}
	defer func() { _ = r.Close() }()
	for _, d := range sk.dirs {
		if err := r.MkdirAll(d.path, 0o755); err != nil {
			return fmt.Errorf("build skeleton: %w", err)
		}
		if err := r.Chmod(d.path, d.mode); err != nil { // whatever the umask
			return fmt.Errorf("build skeleton: %w", err)
		}
	}
	for p, content := range sk.files {
		if err := r.WriteFile(p, []byte(content), 0o644); err != nil {
			return fmt.Errorf("build skeleton: %w", err)
		}
		if err := r.Chmod(p, 0o644); err != nil {
			return fmt.Errorf("build skeleton: %w", err)
		}
	}
	for p, to := range sk.links {
		if err := r.Symlink(to, p); err != nil {
			return fmt.Errorf("build skeleton: %w", err)
		}
	}
	return nil
}
