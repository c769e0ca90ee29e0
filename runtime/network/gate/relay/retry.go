package relay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Kinds of records and messages; RFC 8446 sections 4 and 5.1.
const (
	recordChange    = 0x14 // change_cipher_spec
	recordAlert     = 0x15
	recordHandshake = 0x16
	recordData      = 0x17 // application_data: early, before the handshake is over
	messageHello    = 2    // ServerHello
	alertWarning    = 1    // RFC 5246 section 7.2
)

// Bounds of records; RFC 8446 section 5.2.
const (
	recordHead   = 5
	maxRecord    = recordHead + 1<<14 + 256
	maxSkipped   = 64 // records between two hellos
	answerWithin = 30 * time.Second
)

// retryRandom is the random of a ServerHello that asks for another ClientHello;
// RFC 8446 section 4.1.3.
var retryRandom = []byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// secondHello checks the ClientHello that a server asks for when the first offered no key
// that it takes. It may name another host, and there are servers that go by it. What the
// server said until then is passed on; without such a question nothing else is done.
func (t *talk) secondHello() error {
	said, asked, err := readAnswer(t.server)
	if _, werr := t.client.Write(said); werr != nil || err != nil {
		return errors.Join(werr, err)
	}
	if !asked {
		return nil
	}
	_ = t.client.SetReadDeadline(time.Now().Add(sayWithin))
	if err := t.skipRecords(); err != nil {
		return err
	}
	return t.hello()
}

// readAnswer reads as much of what a server says first as tells whether it asks for another
// ClientHello. It returns all that it took.
//
// A server that says nothing that is one or the other is not waited for without end: then nothing goes through.
func readAnswer(c net.Conn) (said []byte, asked bool, err error) {
	_ = c.SetReadDeadline(time.Now().Add(answerWithin))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	in := bufio.NewReaderSize(c, maxRecord)
	var message []byte
	for n := 0; len(message) < 6+len(retryRandom) && n < maxSkipped; n++ {
		record, err := readRecord(in)
		said = append(said, record...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return said, false, fmt.Errorf("wait for the server's hello: %w", err)
		}
		if err != nil || !comesBefore(record) && record[0] != recordHandshake {
			break // it has ended, or speaks no TLS: the client sees that
		}
		if record[0] == recordHandshake {
			message = append(message, record[recordHead:]...)
		}
		if len(message) > 0 && message[0] != messageHello {
			break
		}
	}
	ahead, _ := in.Peek(in.Buffered())
	said = append(said, ahead...)
	// Type, length in three bytes, version in two, random.
	asked = len(message) >= 6+len(retryRandom) && message[0] == messageHello && bytes.Equal(message[6:6+len(retryRandom)], retryRandom)
	return said, asked, nil
}

// comesBefore reports whether a record may stand before a ServerHello: a warning.
func comesBefore(record []byte) bool {
	return record[0] == recordAlert && len(record) == recordHead+2 && record[recordHead] == alertWarning
}

// readRecord reads one record, or what there is of it.
func readRecord(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(recordHead)
	n := min(recordHead+sizeOf(head), maxRecord)
	if err != nil {
		n = len(head)
	}
	record, err2 := in.Peek(n)
	record = bytes.Clone(record)
	_, _ = in.Discard(len(record))
	return record, errors.Join(err, err2)
}

func sizeOf(head []byte) int {
	if len(head) < recordHead {
		return 0
	}
	return int(binary.BigEndian.Uint16(head[3:]))
}

// skipRecords passes on what a client may send before its second ClientHello: a
// change_cipher_spec for boxes in between, and early data, which the server doesn't read.
func (t *talk) skipRecords() error {
	for range maxSkipped {
		head, err := t.in.Peek(recordHead)
		if err != nil {
			return fmt.Errorf("read the second ClientHello: %w", err)
		}
		if head[0] != recordChange && head[0] != recordData {
			return nil
		}
		if err := t.passRecord(recordHead + sizeOf(head)); err != nil {
			return err
		}
	}
	return &mismatchError{"too much stands before the second TLS ClientHello"}
}

func (t *talk) passRecord(size int) error {
	if size > maxRecord {
		return &mismatchError{"a TLS record is too long"}
	}
	for size > 0 {
		part, err := t.in.Peek(min(size, peekBuffer))
		if err != nil {
			return fmt.Errorf("read a TLS record: %w", err)
		}
		if _, err := t.server.Write(part); err != nil {
			return fmt.Errorf("send a TLS record: %w", err)
		}
		n, _ := t.in.Discard(len(part))
		size -= n
	}
	return nil
}
