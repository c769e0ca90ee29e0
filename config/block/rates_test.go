package block

import (
	"strings"
	"testing"
	"time"
)

func TestBitRates(t *testing.T) {
	for in, want := range map[string]int64{"8kbit": 8e3, "10mbit": 1e7, "1.5gbit": 15e8, "1500bit": 1500, "2 tbit": 2e12} {
		n, err := ParseBitRate(in)
		if err != nil || n != want {
			t.Errorf("%q is %d, %v; want %d", in, n, err, want)
		}
		if again, err := ParseBitRate(FormatBitRate(n)); err != nil || again != n {
			t.Errorf("%d is written %q and read %d, %v", n, FormatBitRate(n), again, err)
		}
	}
	for in, want := range map[string]string{
		"10": "has no unit", "10mb": `perhaps it means "10mbit"`, "10Mbit": `perhaps it means "10mbit"`, "10m": `perhaps it means "10mbit"`,
		"10bps": "which is none of", "-1mbit": "doesn't begin with a number", "": "doesn't begin", "99999999999tbit": "is more than",
		"0.5bit": "not a whole number", "mbit": "doesn't begin",
	} {
		if _, err := ParseBitRate(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestFrequencies(t *testing.T) {
	for in, want := range map[string]Often{"20/s": {20, time.Second}, "1/m": {1, time.Minute}, "5000/h": {5000, time.Hour}} {
		if got, err := ParseFrequency(in); err != nil || got != want || got.String() != in {
			t.Errorf("%q is %v, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"20": "has no unit", "20/d": "none of /s, /m, /h", "20/sec": `perhaps it means "20/s"`, "2.5/s": "whole number", "/s": "whole number",
		"99999999999999999999/s": "too large", "": "whole number", "20/": "none of",
	} {
		if _, err := ParseFrequency(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
