//go:build linux

package command

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// readFrame reads one frame, and the one descriptor that may come with it. The
// sandbox's init runs as the sandbox's user: what it says is read with care.
func readFrame(c *net.UnixConn) (wire.Kind, []byte, *os.File, error) {
	var head [wire.HeaderSize]byte
	var oob [64]byte
	n, oobn, flags, _, err := c.ReadMsgUnix(head[:], oob[:])
	if err != nil {
		return 0, nil, nil, err
	}
	if n == 0 {
		return 0, nil, nil, io.EOF
	}
	file, err := oneFile(oob[:oobn], flags)
	if err != nil {
		return 0, nil, nil, err
	}
	k, payload, err := readRest(c, head[:], n)
	if err != nil && file != nil {
		_ = file.Close()
		file = nil
	}
	return k, payload, file, err
}

func readRest(c *net.UnixConn, head []byte, n int) (wire.Kind, []byte, error) {
	if _, err := io.ReadFull(c, head[n:]); err != nil {
		return 0, nil, err
	}
	k, length, err := wire.Header(head, wire.MaxReply)
	if err != nil {
		return 0, nil, err
	}
	payload := make([]byte, length)
	_, err = io.ReadFull(c, payload)
	return k, payload, err
}

// oneFile returns the descriptor in a control message, if any. More than one is
// not what init sends.
func oneFile(oob []byte, flags int) (*os.File, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range msgs {
		got, err := unix.ParseUnixRights(&m)
		if err == nil {
			fds = append(fds, got...)
		}
	}
	if len(fds) > 1 || flags&unix.MSG_CTRUNC != 0 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return nil, errors.New("the sandbox sent more descriptors than asked for")
	}
	if len(fds) == 0 {
		return nil, nil
	}
	unix.CloseOnExec(fds[0])
	// Non-blocking, so that a read of it can have a deadline.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pty"), nil
}
