// Package leftovers lists everything that Blast has on a host, by looking and
// not by asking Blast: processes, cgroups, mounts, namespaces, loop devices,
// nftables tables and files. After a destroy the list is empty.
package leftovers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"blast.example/blast/state"
)

// Find returns one line for each thing of Blast's, sorted. With project folders
// it is about their default environments, all that are up in folders below them, and what
// belongs to no environment at all: other tests may run beside.
func Find(projects ...string) ([]string, error) {
	var out []string
	var errs []error
	for _, look := range []func() ([]string, error){mounts, processes, cgroups, runFiles, loops, hostTables, func() ([]string, error) { return stateFolders(projects) }} {
		lines, err := look()
		out = append(out, lines...)
		errs = append(errs, err)
	}
	if len(projects) > 0 {
		own, err := of(projects, out)
		out, errs = own, append(errs, err)
	}
	slices.Sort(out)
	return slices.Compact(out), errors.Join(errs...)
}

var environment = regexp.MustCompile(`/blast/([0-9a-f]{12})`)

// of leaves out what belongs to other projects. The daemon, and folders that all
// environments share, stand for as long as any does.
func of(projects, lines []string) ([]string, error) {
	var ids []string
	for _, p := range projects {
		ids = append(ids, state.NewEnv(p, "default", 0, 0).ID)
	}
	claims, err := state.Claims()
	for _, c := range claims {
		if slices.ContainsFunc(projects, func(p string) bool { return strings.HasPrefix(c.Project+"/", p+"/") }) {
			ids = append(ids, c.ID)
		}
	}
	foreign := false
	own := slices.DeleteFunc(lines, func(l string) bool {
		others := false
		if id := environment.FindStringSubmatch(l); id != nil {
			others = !slices.Contains(ids, id[1])
		} else if strings.Contains(l, "/.blast/") {
			others = !slices.ContainsFunc(projects, func(p string) bool { return strings.Contains(l, p+"/.blast/") })
		}
		foreign = foreign || others
		return others
	})
	return slices.DeleteFunc(own, func(l string) bool { return foreign && shared.MatchString(l) }), err
}

var shared = regexp.MustCompile(`^file ` + state.RunRoot + `(/blastd\.\w+)?$|^process \d+ blastd$|^cgroup .*/blast$`)

// mounts are those of the host's own namespace.
func mounts() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	var out []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && (strings.Contains(f[4], "/run/blast/") || strings.Contains(f[4], "/.blast/")) {
			out = append(out, "mount "+f[4])
		}
	}
	return out, err
}

// processes are those in a cgroup of Blast's, and the daemon.
func processes() ([]string, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, dir := range dirs {
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue // it ended while we looked
		}
		cg, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		if strings.Contains(string(stat), ") Z ") {
			continue // dead; its parent hasn't asked yet
		}
		name := strings.TrimPrefix(strings.TrimSpace(string(comm)), ".") // init is /.blast-init inside
		if _, group, ok := strings.Cut(string(cg), ":/blast/"); ok {
			group, _, _ = strings.Cut(group, "\n")
			out = append(out, fmt.Sprintf("process %s %s in /blast/%s", filepath.Base(dir), name, group))
		} else if name == "blastd" {
			out = append(out, fmt.Sprintf("process %s %s", filepath.Base(dir), name))
		}
	}
	return out, err
}

// cgroups are folders called blast at the top of any hierarchy.
func cgroups() ([]string, error) {
	var out []string
	for _, pattern := range []string{"/sys/fs/cgroup/blast", "/sys/fs/cgroup/*/blast"} {
		tops, err := filepath.Glob(pattern)
		if err != nil {
			return out, err
		}
		for _, top := range tops {
			err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err == nil && d.IsDir() {
					out = append(out, "cgroup "+path)
				}
				return err
			})
			if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func runFiles() ([]string, error) {
	var out []string
	err := filepath.WalkDir("/run/blast", func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		out = append(out, "file "+path)
		if strings.Contains(filepath.Base(path), "root-") || filepath.Base(path) == "layer" {
			return fs.SkipDir
		}
		return nil
	})
	return out, err
}

// loops are loop devices over a layer of Blast's.
func loops() ([]string, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	var out []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "/.blast/") {
			out = append(out, "loop "+strings.TrimSpace(string(b)))
		}
	}
	return out, err
}

// hostTables are nftables tables in the host's own network namespace: Blast
// never makes one there.
func hostTables() ([]string, error) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		return nil, nil //nolint:nilerr // without nft(8) there is nobody to ask, and Blast needs none
	}
	b, err := exec.Command(nft, "list", "tables").Output()
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "blast") {
			out = append(out, "nft "+strings.TrimSpace(line))
		}
	}
	return out, err
}

func stateFolders(projects []string) ([]string, error) {
	var out []string
	for _, p := range projects {
		err := filepath.WalkDir(filepath.Join(p, ".blast"), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			out = append(out, "file "+path)
			if strings.HasPrefix(d.Name(), "gen-") {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}
