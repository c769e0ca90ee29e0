package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/network/gate/netns"
)

// A Commit is a transaction that changed rules, as the kernel tells of it.
type Commit struct {
	ID   uint32 // of the ruleset that it made: one more with each, in each namespace
	PID  int    // of the thread that made it, as the initial PID namespace counts
	Name string // what that calls itself, up to 15 bytes
}

// A Watch hears of each transaction in a namespace.
type Watch struct {
	socket *os.File
	raw    syscall.RawConn
	tell   func([]Commit)
	over   chan struct{}
	mu     sync.Mutex // held while messages are read and told of
}

// NewWatch calls tell for all transactions from now on, in order, until Close; never
// twice at once. Messages can be lost: then the IDs have a gap.
func NewWatch(ns *os.File, tell func([]Commit)) (*Watch, error) {
	f, err := netlink(ns, 1<<(unix.NFNLGRP_NFTABLES-1))
	if err != nil {
		return nil, fmt.Errorf("watch nftables: %w", err)
	}
	w := &Watch{socket: f, tell: tell, over: make(chan struct{})}
	if w.raw, err = f.SyscallConn(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("watch nftables: %w", err)
	}
	go func() {
		defer close(w.over)
		_ = w.raw.Read(func(fd uintptr) bool { w.drain(int(fd)); return false }) // until Close
	}()
	return w, nil
}

// Catch returns when all transactions that were over before the call are told of.
func (w *Watch) Catch() { _ = w.raw.Control(func(fd uintptr) { w.drain(int(fd)) }) }

// Close ends the watch. Nothing is told when it has returned.
func (w *Watch) Close() {
	_ = w.socket.Close()
	<-w.over
}

func (w *Watch) drain(fd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Commit
	b := make([]byte, os.Getpagesize())
	for {
		n, from, err := unix.Recvfrom(fd, b, 0)
		if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) { // some were lost: their IDs are missing
			continue
		}
		if err != nil {
			break
		}
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 { // the kernel
			all = append(all, commits(b[:n])...)
		}
	}
	if len(all) > 0 {
		w.tell(all)
	}
}

// Generation is the ID of the namespace's ruleset.
func Generation(ns *os.File) (uint32, error) {
	f, err := netlink(ns, 0)
	if err != nil {
		return 0, fmt.Errorf("ask for the generation of rules: %w", err)
	}
	defer func() { _ = f.Close() }()
	ask := make([]byte, unix.NLMSG_HDRLEN+headLen)
	binary.NativeEndian.PutUint32(ask, uint32(len(ask)))
	binary.NativeEndian.PutUint16(ask[4:], messageType(unix.NFT_MSG_GETGEN))
	binary.NativeEndian.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(int(f.Fd()), ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for the generation of rules: %w", err)
	}
	b := make([]byte, os.Getpagesize())
	n, _, err := unix.Recvfrom(int(f.Fd()), b, 0) // it was answered while it was sent
	if err != nil {
		return 0, fmt.Errorf("ask for the generation of rules: %w", err)
	}
	if cs := commits(b[:n]); len(cs) == 1 {
		return cs[0].ID, nil
	}
	return 0, errors.New("ask for the generation of rules: the kernel answers something else")
}

// netlink opens a socket inside of the namespace that gets what is sent to these
// groups, but only about generations: a transaction of thousands of rules would
// overflow it.
func netlink(ns *os.File, groups uint32) (f *os.File, err error) {
	err = netns.Do(ns, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), "nftables")
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, generations()); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups})
	})
	if err != nil && f != nil {
		_ = f.Close()
	}
	return f, err
}

// generations is a filter of messages by their type; bpf(4). Its loads take network
// byte order, in which the kernel doesn't write the type.
func generations() *unix.SockFprog {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], messageType(unix.NFT_MSG_NEWGEN))
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(binary.BigEndian.Uint16(b[:])), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: ^uint32(0)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

func messageType(n uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | n }

// headLen is the length of struct nfgenmsg, which comes before the attributes.
const headLen = 4

// commits reads messages about generations. It is safe for any bytes.
func commits(b []byte) []Commit {
	ms, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return nil
	}
	var out []Commit
	for _, m := range ms {
		if m.Header.Type != messageType(unix.NFT_MSG_NEWGEN) || len(m.Data) < headLen {
			continue
		}
		out = append(out, commit(m.Data[headLen:]))
	}
	return out
}

// commit reads attributes: length, type, value, padded to four bytes. Numbers are in
// network byte order, as everywhere in nftables.
func commit(b []byte) Commit {
	var c Commit
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			break
		}
		value := b[unix.SizeofNlAttr:n]
		switch kind := binary.NativeEndian.Uint16(b[2:]); {
		case kind == unix.NFTA_GEN_ID && len(value) == 4:
			c.ID = binary.BigEndian.Uint32(value)
		case kind == unix.NFTA_GEN_PROC_PID && len(value) == 4:
			c.PID = int(binary.BigEndian.Uint32(value))
		case kind == unix.NFTA_GEN_PROC_NAME:
			c.Name = unix.ByteSliceToString(value)
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return c
}
