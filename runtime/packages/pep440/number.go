package pep440

import (
	"math"
	"strconv"
	"strings"
)

// Number is a non-negative integer of any size, as decimal digits without
// leading zeros. PEP 440 sets no limit, and dates down to the microsecond as
// development releases don't fit 64 bits. The empty Number stands for "none"
// and is below zero.
type Number string

// newNumber makes a Number of ASCII digits.
func newNumber(digits string) Number {
	if n := strings.TrimLeft(digits, "0"); n != "" {
		return Number(n)
	}
	return "0"
}

// Compare returns -1, 0 or 1.
func (n Number) Compare(o Number) int {
	switch {
	case len(n) != len(o):
		return sign(len(n) - len(o))
	default:
		return strings.Compare(string(n), string(o))
	}
}

// Int returns n, or math.MaxInt when it is larger.
func (n Number) Int() int {
	if n == "" {
		return 0
	}
	i, err := strconv.Atoi(string(n))
	if err != nil {
		return math.MaxInt
	}
	return i
}

// next returns n + 1.
func (n Number) next() Number {
	b := []byte(n)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			return Number(b)
		}
		b[i] = '0'
	}
	return Number("1" + string(b))
}

func sign(i int) int {
	switch {
	case i < 0:
		return -1
	case i > 0:
		return 1
	}
	return 0
}
