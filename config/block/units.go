package block

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"
)

// sizeUnits are the units of sizes: SI's are powers of ten, IEC's (KiB, MiB) of two.
var sizeUnits = map[string]int64{
	"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

var timeUnits = map[string]int64{
	"us": int64(time.Microsecond), "ms": int64(time.Millisecond), "s": int64(time.Second),
	"m": int64(time.Minute), "h": int64(time.Hour), "d": int64(day),
}

// day is one without regard to the calendar: 24 hours.
const day = 24 * time.Hour

// errNoUnit is a number alone where a unit is needed.
var errNoUnit = errors.New("has no unit")

// ParseSize reads "512MiB", "1.5GB" or "0" as bytes.
func ParseSize(s string) (int64, error) {
	return parseUnits(s, sizeUnits, "B, kB, MB, GB, KiB, MiB, GiB")
}

// ParseDuration reads "50ms", "1.5s" or "0".
func ParseDuration(s string) (time.Duration, error) {
	n, err := parseUnits(s, timeUnits, "us, ms, s, m, h, d")
	return time.Duration(n), err
}

func parseUnits(s string, units map[string]int64, names string) (int64, error) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(s)
	}
	number, unit := s[:i], strings.TrimLeft(s[i:], " ")
	r, ok := new(big.Rat).SetString(number)
	if !ok || len(number) > 40 || strings.Trim(number, ".") != number {
		return 0, errors.New("doesn't begin with a number")
	}
	if unit == "" {
		if r.Sign() == 0 {
			return 0, nil
		}
		return 0, errNoUnit
	}
	factor, ok := units[unit]
	if !ok {
		return 0, fmt.Errorf("has the unit %q, which is none of %s%s", unit, names, meant(number, unit, units))
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	switch {
	case !r.IsInt():
		return 0, fmt.Errorf("is not a whole number of the smallest unit")
	case !r.Num().IsInt64():
		return 0, fmt.Errorf("is more than %d", int64(math.MaxInt64))
	}
	return r.Num().Int64(), nil
}

// meant suggests the value to write for a unit in the style of other programs:
// "512m" of docker's, "1Gi" of Kubernetes', "1gib", "10Mb".
func meant(number, unit string, units map[string]int64) string {
	for _, suffix := range []string{"", "ib", "b", "it", "bit"} {
		for _, u := range slices.Sorted(maps.Keys(units)) {
			if strings.EqualFold(u, unit+suffix) {
				return fmt.Sprintf("; perhaps it means \"%s%s\"", number, u)
			}
		}
	}
	return ""
}

// FormatSize writes bytes as a person would: 2 GiB, 512 MiB, 1500 B.
func FormatSize(n int64) string {
	for _, u := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if f := sizeUnits[u]; n >= f && n%f == 0 {
			return fmt.Sprintf("%d %s", n/f, u)
		}
	}
	for _, u := range []string{"TB", "GB", "MB", "kB"} {
		if f := sizeUnits[u]; n >= f && n%f == 0 {
			return fmt.Sprintf("%d %s", n/f, u)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// FormatDuration writes a time as a person would: 50ms, 1s.
func FormatDuration(d time.Duration) string {
	for _, u := range []string{"h", "m", "s", "ms"} {
		if f := timeUnits[u]; int64(d) >= f && int64(d)%f == 0 {
			return fmt.Sprintf("%d%s", int64(d)/f, u)
		}
	}
	return fmt.Sprintf("%dus", d.Microseconds())
}
