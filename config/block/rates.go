package block

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

// rateUnits are those of tc(8) that count bits, as powers of ten. tc's "bps"
// counts bytes, and has no place where everybody else takes it for bits.
var rateUnits = map[string]int64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12}

// ParseBitRate reads "10mbit" or "1.5gbit" as bits per second.
func ParseBitRate(s string) (int64, error) {
	return parseUnits(s, rateUnits, "bit, kbit, mbit, gbit")
}

// FormatBitRate writes bits per second as ParseBitRate reads them: 10mbit.
func FormatBitRate(n int64) string {
	for _, u := range []string{"tbit", "gbit", "mbit", "kbit"} {
		if f := rateUnits[u]; n != 0 && n%f == 0 {
			return fmt.Sprintf("%d%s", n/f, u)
		}
	}
	return fmt.Sprintf("%dbit", n)
}

// Often is so many times in a second, a minute or an hour.
type Often struct {
	N   int64
	Per time.Duration
}

var perUnits = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}}

// String is "20/s".
func (o Often) String() string {
	for _, u := range perUnits {
		if u.per == o.Per {
			return fmt.Sprintf("%d/%s", o.N, u.name)
		}
	}
	return fmt.Sprintf("%d per %v", o.N, o.Per)
}

// ParseFrequency reads "20/s", "100/m" or "5000/h".
func ParseFrequency(s string) (Often, error) {
	number, unit, slash := strings.Cut(s, "/")
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil && errors.Is(err, strconv.ErrRange):
		return Often{}, errors.New("is too large a number")
	case err != nil:
		return Often{}, errors.New("doesn't begin with a whole number")
	case !slash:
		return Often{}, errNoUnit
	}
	for _, u := range perUnits {
		if u.name == unit {
			return Often{n, u.per}, nil
		}
	}
	hint := ""
	if i := slices.Index([]string{"sec", "second", "min", "minute", "hour"}, strings.ToLower(unit)); i >= 0 {
		hint = fmt.Sprintf("; perhaps it means \"%s/%c\"", number, strings.ToLower(unit)[0])
	}
	return Often{}, fmt.Errorf("has the unit %q, which is none of /s, /m, /h%s", "/"+unit, hint)
}

func (c *converter) bitRate(v cty.Value) (int64, bool) {
	n, good := measured(c, v, ParseBitRate, []string{"mbit", "kbit"})
	return n, good && c.inRange(n, c.expr.Range(), FormatBitRate)
}

func (c *converter) frequency(v cty.Value) (Often, bool) {
	f, good := measured(c, v, ParseFrequency, []string{"/s", "/m"})
	return f, good && c.inRange(f.N, c.expr.Range(), func(n int64) string { return Often{n, f.Per}.String() })
}
