// Package wire is the conversation between a client and the init of a sandbox,
// as bytes. It is pure and imports next to nothing, as PID 1 of every sandbox
// links it.
//
// One connection to init's stream socket runs one command. Each message is a
// frame: eight bytes of header, then the payload.
//
//	 0      1       2     3     4         8
//	'B' │ Version │ kind │  0  │ length │ payload …      length is little-endian
//
//	client                                      init
//	  Run     + stdio that is no terminal ───▶        command, environment, folder, rlimits
//	          ◀─── Started + master of the pty        or Failed: why not
//	  Signal  ───────────────────────────────▶        any number of times
//	          ◀───────────────────────────────  Exited
//
//	  Hello   ───────────────────────────────▶
//	          ◀───────────────────────────────  Ready  the sandbox's id
//
// File descriptors travel as SCM_RIGHTS (unix(7)) with the first byte of the
// Run and Started frames. If the client goes away first, init sends the
// command's session SIGHUP and shortly afterwards SIGKILL.
//
// Each side takes the other for hostile: every length has a bound, every frame
// that is not exactly right ends the connection.
package wire

import (
	"encoding/binary"
	"errors"
)

// Version of the conversation. Both ends are installed together; a sandbox may
// outlive an upgrade, and then says so.
const Version = 1

// HeaderSize is the length of a frame's header, in bytes.
const HeaderSize = 8

const magic = 'B'

// Kind is what a frame means.
type Kind byte

// From the client to init.
const (
	Hello  Kind = 'h' // no payload
	Run    Kind = 'r' // Command
	Signal Kind = 's' // one byte, see Forwarded
)

// From init to the client.
const (
	Ready   Kind = 'H' // the sandbox's id
	Started Kind = 'S' // no payload; with the pty's master if one was asked for
	Exited  Kind = 'X' // Exit
	Failed  Kind = 'F' // Failure
)

// MaxRequest bounds what init reads, in bytes. execve(2) takes 2 MiB of
// arguments and environment by default.
const MaxRequest = 4 << 20

// MaxReply bounds what a client reads, in bytes.
const MaxReply = 4 << 10

// Errors of frames and payloads.
var (
	ErrNotWire   = errors.New("not a frame of this protocol")
	ErrVersion   = errors.New("other version of the protocol")
	ErrTooLong   = errors.New("frame is too long")
	ErrMalformed = errors.New("malformed payload")
)

// Frame returns a whole frame.
func Frame(k Kind, payload []byte) []byte {
	b := make([]byte, HeaderSize, HeaderSize+len(payload))
	b[0], b[1], b[2] = magic, Version, byte(k)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(payload)))
	return append(b, payload...)
}

// Header reads a header and returns the kind of the frame and the length of its
// payload, which is at most limit.
func Header(b []byte, limit int) (Kind, int, error) {
	if len(b) < HeaderSize || b[0] != magic || b[3] != 0 {
		return 0, 0, ErrNotWire
	}
	if b[1] != Version {
		return 0, 0, ErrVersion
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if uint64(n) > uint64(limit) {
		return 0, 0, ErrTooLong
	}
	return Kind(b[2]), int(n), nil
}
