//go:build linux

package deny

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// layout is where this very kernel has what the programs read, in bytes from the
// beginning of each struct: its own description of itself (BTF) says so.
type layout struct {
	taskLeader, taskPID           int32 // struct task_struct
	taskFS, taskFiles             int32 // likewise
	pidLevel, pidNumbers          int32 // struct pid
	upidSize, upidNr, upidNS      int32 // struct upid
	nsInum                        int32 // struct pid_namespace
	fsPwd                         int32 // struct fs_struct
	filesTable, tableMax, tableFD int32 // struct files_struct, struct fdtable
	filePath                      int32 // struct file
	pathMount, pathDentry         int32 // struct path
	mountOf                       int32 // struct vfsmount in struct mount
	mountRoot                     int32 // struct vfsmount
	mountParent, mountPoint       int32 // struct mount
	dentryParent, dentryName      int32 // struct dentry
	nameText                      int32 // struct filename
	openFlags, openMode           int32 // struct open_flags
}

// errLayout is a kernel that is put together in another way than the programs read it.
var errLayout = errors.New("this kernel is built in a way that is not known")

func readLayout(spec *btf.Spec) (layout, error) {
	var l layout
	for _, f := range []struct {
		to    *int32
		in    string
		names []string
	}{
		{&l.taskLeader, "task_struct", []string{"group_leader"}},
		{&l.taskPID, "task_struct", []string{"thread_pid"}},
		{&l.taskFS, "task_struct", []string{"fs"}},
		{&l.taskFiles, "task_struct", []string{"files"}},
		{&l.pidLevel, "pid", []string{"level"}},
		{&l.pidNumbers, "pid", []string{"numbers"}},
		{&l.upidNr, "upid", []string{"nr"}},
		{&l.upidNS, "upid", []string{"ns"}},
		{&l.nsInum, "pid_namespace", []string{"ns", "inum"}},
		{&l.fsPwd, "fs_struct", []string{"pwd"}},
		{&l.filesTable, "files_struct", []string{"fdt"}},
		{&l.tableMax, "fdtable", []string{"max_fds"}},
		{&l.tableFD, "fdtable", []string{"fd"}},
		{&l.filePath, "file", []string{"f_path"}},
		{&l.pathMount, "path", []string{"mnt"}},
		{&l.pathDentry, "path", []string{"dentry"}},
		{&l.mountOf, "mount", []string{"mnt"}},
		{&l.mountRoot, "vfsmount", []string{"mnt_root"}},
		{&l.mountParent, "mount", []string{"mnt_parent"}},
		{&l.mountPoint, "mount", []string{"mnt_mountpoint"}},
		{&l.dentryParent, "dentry", []string{"d_parent"}},
		{&l.dentryName, "dentry", []string{"d_name", "name"}},
		{&l.nameText, "filename", []string{"name"}},
		{&l.openFlags, "open_flags", []string{"open_flag"}},
		{&l.openMode, "open_flags", []string{"acc_mode"}},
	} {
		at, err := offset(spec, f.in, f.names)
		if err != nil {
			return l, err
		}
		*f.to = at
	}
	var upid *btf.Struct
	if err := spec.TypeByName("upid", &upid); err != nil {
		return l, err
	}
	l.upidSize = int32(upid.Size)
	if l.pathMount != 0 || l.pathDentry != 8 || l.upidSize != 16 || l.upidNr != 0 || l.upidNS != 8 {
		return l, errLayout
	}
	return l, nil
}

// offset is where a member lies, also one of a struct in it.
func offset(spec *btf.Spec, in string, names []string) (int32, error) {
	var s *btf.Struct
	if err := spec.TypeByName(in, &s); err != nil {
		return 0, fmt.Errorf("%w: struct %s: %w", errLayout, in, err)
	}
	var t btf.Type = s
	at := uint32(0)
	for _, name := range names {
		m, more, ok := member(t, name)
		if !ok {
			return 0, fmt.Errorf("%w: no %s in struct %s", errLayout, name, in)
		}
		t, at = m.Type, at+more
	}
	return int32(at), nil
}

// member finds one by its name, also in unions and structs without a name.
func member(t btf.Type, name string) (btf.Member, uint32, bool) {
	var all []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		all = t.Members
	case *btf.Union:
		all = t.Members
	}
	for _, m := range all {
		if m.Name == name {
			return m, m.Offset.Bytes(), m.BitfieldSize == 0
		}
		if m.Name != "" {
			continue
		}
		if in, more, ok := member(m.Type, name); ok {
			return in, m.Offset.Bytes() + more, true
		}
	}
	return btf.Member{}, 0, false
}

// takes reports whether a function of the kernel has parameters of these types: "int" or
// the name of a struct that is pointed to.
func takes(spec *btf.Spec, function string, params []string) bool {
	var f *btf.Func
	if spec.TypeByName(function, &f) != nil {
		return false
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) < len(params) {
		return false
	}
	for i, want := range params {
		switch t := btf.UnderlyingType(proto.Params[i].Type).(type) {
		case *btf.Int:
			if want != t.Name {
				return false
			}
		case *btf.Pointer:
			s, ok := btf.UnderlyingType(t.Target).(*btf.Struct)
			if !ok || s.Name != want {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// paramsOf is how many parameters a function has: what it returns comes after them.
func paramsOf(spec *btf.Spec, function string) int {
	var f *btf.Func
	if spec.TypeByName(function, &f) != nil {
		return 0
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return 0
	}
	return len(proto.Params)
}
