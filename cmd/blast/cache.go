package main

import (
	"errors"
	"io/fs"

	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/packages/cache"
	"blast.example/blast/runtime/packages/cachedir"
)

// cacheCmd is about what could be fetched again: it is shared by all environments of a
// user. Who runs blast as root has the machine's, and needs root to see it.
type cacheCmd struct {
	Info   cacheInfoCmd   `cmd:"" default:"withargs" help:"Say where the cache is, what it holds, and how much of it environments use."`
	Prune  cachePruneCmd  `cmd:"" help:"Remove the wheels that no environment has the files of, and old answers of indexes."`
	Verify cacheVerifyCmd `cmd:"" help:"Read every file and compare it with its hash; remove what was damaged, to be fetched again."`
	Clean  cacheCleanCmd  `cmd:"" help:"Remove everything, or the wheels of some packages. Environments keep what they have."`
	Dir    cacheDirCmd    `cmd:"" help:"Print where the cache is."`
}

// Kinds of things in the cache; see package cachedir.
const (
	cachedWheels       = "wheels"
	cachedAnswers      = "index"
	cachedInterpreters = "interpreters"
)

var errNoCache = errors.New("this user has no cache: neither XDG_CACHE_HOME nor HOME is set")

// wheels are those in the cache.
func wheels() (*cache.Cache, []cache.Kept, error) {
	dir := cachedir.Path(cachedWheels)
	if dir == "" {
		return nil, nil, errNoCache
	}
	c := cache.New(dir)
	all, err := c.List()
	if errors.Is(err, fs.ErrPermission) {
		err = client.ErrPrivilege
	}
	return c, all, err
}

// sumOf is how many entries there are, and how large they are together.
func sumOf(all []cache.Kept) cachedir.Files {
	f := cachedir.Files{Count: len(all)}
	for _, k := range all {
		f.Bytes += k.Bytes
	}
	return f
}

type cacheDirCmd struct{}

// Run prints the folder, which need not be there yet.
func (cmd *cacheDirCmd) Run(u *ui) error {
	root := cachedir.Root()
	if root == "" {
		return errNoCache
	}
	return printAll(u.out, []byte(root+"\n"))
}
