package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A Line is one of the record: exactly one is not nil.
type Line struct {
	Connection *Connection
	Question   *Question
	Denial     *Denial
	Totals     *Totals
	Missed     *Missed
}

// Value is what is not nil.
func (l Line) Value() any {
	switch {
	case l.Connection != nil:
		return l.Connection
	case l.Question != nil:
		return l.Question
	case l.Denial != nil:
		return l.Denial
	case l.Totals != nil:
		return l.Totals
	}
	return l.Missed
}

// ErrUnknown is a line of a type that this Blast doesn't know.
var ErrUnknown = errors.New("unknown type of line")

// Decode reads one line. It is safe for any bytes.
func Decode(b []byte) (Line, error) {
	var head struct {
		Type string `json:"type"`
	}
	var l Line
	if err := json.Unmarshal(b, &head); err != nil {
		return l, fmt.Errorf("read traffic: %w", err)
	}
	var v any
	switch head.Type {
	case TypeConnection:
		l.Connection = &Connection{}
		v = l.Connection
	case TypeQuestion:
		l.Question = &Question{}
		v = l.Question
	case TypeDenial:
		l.Denial = &Denial{}
		v = l.Denial
	case TypeTotals:
		l.Totals = &Totals{}
		v = l.Totals
	case TypeMissed:
		l.Missed = &Missed{}
		v = l.Missed
	default:
		return l, ErrUnknown
	}
	if err := json.Unmarshal(b, v); err != nil {
		return Line{}, fmt.Errorf("read traffic: %w", err)
	}
	return l, nil
}
