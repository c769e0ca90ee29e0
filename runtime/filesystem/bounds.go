package filesystem

import "os"

// What holds where no line says it.
const (
	defaultLayerSize = 5 << 30
	defaultTempSize  = 256 << 20
	defaultReserve   = 1 << 30
)

// NoReserve is a Reserve of nothing: the disk may be filled to the last byte.
const NoReserve = -1

// Of the default reserve: the part of a small disk, as a divisor.
const reservedPart = 20

// Free is how much of a disk of this size must stay free, in bytes.
func (t Tree) Free(disk int64) int64 {
	switch t.Reserve {
	case 0:
		return min(defaultReserve, disk/reservedPart)
	case NoReserve:
		return 0
	}
	return t.Reserve
}

// bytesPerInode is of mke2fs.conf(5), inode_ratio: what a layer has without a line.
const (
	bytesPerInode = 16 << 10
	fewestInodes  = 1 << 10
)

// Inodes is how many files and folders the layer may have.
func (t Tree) Inodes() int64 {
	if t.LayerInodes > 0 {
		return t.LayerInodes
	}
	return max(t.LayerSize/bytesPerInode, fewestInodes)
}

// Bounds on the number of files in a tmpfs that has no line for it, each of which takes
// about a kilobyte of kernel memory beside what is in it.
const (
	fewestFiles = 256
	mostFiles   = 1 << 20
)

// MaxInodes is how many files and folders a tmpfs may have; 0 for other mounts.
func (m Mount) MaxInodes() int64 {
	if m.Type != Tmpfs || m.Inodes > 0 {
		return m.Inodes
	}
	return min(max(m.Size/int64(os.Getpagesize()), fewestFiles), mostFiles)
}
