//go:build linux

package main

import (
	"strings"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// defaultPath is where commands are looked for when they have no PATH.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// lookUp finds the file of cmd.Args[0] and checks the working folder. Init sees
// the same files as its commands, as the same user, so the answer is theirs.
func lookUp(cmd *wire.Command) (string, *wire.Failure) {
	var st unix.Stat_t
	if err := unix.Stat(cmd.Dir, &st); err != nil {
		return "", &wire.Failure{Code: wire.CodeNotExecutable, Message: "working folder " + cmd.Dir + ": " + errnoText(err)}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return "", &wire.Failure{Code: wire.CodeNotExecutable, Message: "working folder " + cmd.Dir + ": " + unix.ENOTDIR.Error()}
	}
	if err := unix.Access(cmd.Dir, unix.X_OK); err != nil {
		return "", &wire.Failure{Code: wire.CodeNotExecutable, Message: "working folder " + cmd.Dir + ": " + errnoText(err)}
	}
	name := cmd.Args[0]
	if strings.Contains(name, "/") {
		return check(name, within(cmd.Dir, name))
	}
	var denied *wire.Failure
	for dir := range strings.SplitSeq(pathOf(cmd.Env), ":") {
		path, f := check(name, within(cmd.Dir, dir+"/"+name))
		if f == nil {
			return path, nil
		}
		if f.Code == wire.CodeNotExecutable && denied == nil {
			denied = f // as a shell does: look on, but remember
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &wire.Failure{Code: wire.CodeNotFound, Message: name + ": not found in the sandbox's PATH"}
}

// within resolves a path as a process in dir would.
func within(dir, path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return dir + "/" + path
}

// check says whether path can be executed. It is given back as the command's
// file, so a relative one was made absolute.
func check(name, path string) (string, *wire.Failure) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		f := &wire.Failure{Code: wire.CodeNotFound, Message: name + ": " + errnoText(err)}
		if err == unix.EACCES {
			f.Code = wire.CodeNotExecutable
		}
		return "", f
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return "", &wire.Failure{Code: wire.CodeNotExecutable, Message: name + ": is a folder"}
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return "", &wire.Failure{Code: wire.CodeNotExecutable, Message: name + ": " + errnoText(err)}
	}
	return path, nil
}

func pathOf(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if p, ok := strings.CutPrefix(env[i], "PATH="); ok {
			return p
		}
	}
	return defaultPath
}
