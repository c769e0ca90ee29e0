package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"blast.example/blast/plan"
)

// Version is the version of the format of state.json and the journal. How a state
// of an older one is read is in upgrade, and in docs/STATE.md.
const Version = 2

// onDisk is state.json. It is apart from State so that the code may change
// without the file doing so.
type onDisk struct {
	Version     int           `json:"version"`
	Environment string        `json:"environment"`
	ID          string        `json:"id"`
	Lineage     string        `json:"lineage"`
	Serial      uint64        `json:"serial"`
	Keep        int           `json:"keep"`
	Origin      Origin        `json:"origin"`
	Objects     []plan.Object `json:"objects"`
}

// onDiskV1 is state.json of version 1, which knew neither history nor an id.
type onDiskV1 struct {
	Version     int           `json:"version"`
	Environment string        `json:"environment"`
	Lineage     string        `json:"lineage"`
	Serial      uint64        `json:"serial"`
	Objects     []plan.Object `json:"objects"`
}

// Encode is the state as it is written, and as blast state pull prints it.
func Encode(s State) ([]byte, error) {
	b, err := json.MarshalIndent(onDisk{Version, s.Env, s.ID, s.Lineage, s.Serial, s.Keep, s.Origin, s.Objects}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return append(b, '\n'), nil
}

// errNewer is not damage, and the file worth keeping.
var errNewer = errors.New("was written by a newer Blast")

// Decode reads what Encode wrote, or what an older version did. It is strict: a
// word that it doesn't know is an error.
func Decode(b []byte) (State, error) {
	var d onDisk
	err := strictly(b, &d)
	if err != nil || d.Version != Version {
		return decodeOther(b, err)
	}
	s := State{d.Environment, d.ID, d.Lineage, d.Serial, d.Keep, d.Origin, canonical(d.Objects)}
	return s, s.check()
}

// canonical drops the white space that Encode brought in: nobody compares with it.
func canonical(objs []plan.Object) []plan.Object {
	for i := range objs {
		objs[i].Attrs = plan.Canonical(objs[i].Attrs)
	}
	return objs
}

// decodeOther reads what is not as the current version is written: why says what is
// wrong, if it is that.
func decodeOther(b []byte, why error) (State, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return State{}, fmt.Errorf("it is no JSON object: %w", err)
	}
	switch {
	case v.Version > Version:
		return State{}, errNewer
	case v.Version == 1:
		return upgrade(b)
	case v.Version != Version:
		return State{}, fmt.Errorf("format version %d, this Blast reads 1 to %d", v.Version, Version)
	}
	return State{}, why
}

// upgrade reads version 1. The rest is filled in where it is known: the id by Load,
// and the first generation of the history by the next commit.
func upgrade(b []byte) (State, error) {
	var d onDiskV1
	if err := strictly(b, &d); err != nil {
		return State{}, err
	}
	s := State{Env: d.Environment, Lineage: d.Lineage, Serial: d.Serial, Keep: DefaultKeep, Origin: Origin{Mode: plan.Normal}, Objects: canonical(d.Objects)}
	return s, s.check()
}

// maxSerial is what other programs read as a whole number, too, with one more after it.
const maxSerial = 1 << 53

func strictly(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func (s State) check() error {
	if s.Serial == 0 || s.Lineage == "" || s.Keep < 1 {
		return errors.New("serial, lineage or keep is missing")
	}
	if s.Serial >= maxSerial {
		return fmt.Errorf("serial %d is none that an apply a second would come to", s.Serial)
	}
	if s.ID != "" && !isID(s.ID) {
		return fmt.Errorf("%q is no id", s.ID)
	}
	seen := map[string]bool{}
	for _, o := range s.Objects {
		if o.Addr == "" || len(o.Attrs) == 0 || seen[o.Addr] {
			return fmt.Errorf("object %q is there twice, or has no address or attributes", o.Addr)
		}
		seen[o.Addr] = true
	}
	return nil
}
