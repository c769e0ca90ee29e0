package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

const (
	defaultPeriodUS = 100_000
	defaultWeight   = 100  // v2
	defaultShares   = 1024 // v1: the same share of a busy CPU as weight 100
)

// settleCPU is the same in both versions: numbers are kept as they are.
func settleCPU(w wishes) wishes {
	s := w.only(cpuQuota, cpuPeriod, cpuWeight)
	s.drop(cpuPeriod, defaultPeriodUS)
	s.drop(cpuWeight, defaultWeight)
	return s
}

// period is the period in µs that w asks for.
func (w wishes) period() string { return w.text(cpuPeriod, strconv.Itoa(defaultPeriodUS)) }

// cpuV2 is cpu.max ("<quota or max> <period>", µs) and cpu.weight.
type cpuV2 struct{}

func (cpuV2) items() []item          { return []item{cpuQuota, cpuPeriod, cpuWeight} }
func (cpuV2) settle(w wishes) wishes { return settleCPU(w) }

func (cpuV2) read(dir string, _ wishes) (wishes, error) {
	w := wishes{}
	text, err := readFile(dir, "cpu.max")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		quota, period, _ := strings.Cut(text, " ")
		if w[cpuPeriod], err = strconv.ParseUint(period, 10, 64); err != nil {
			return nil, fmt.Errorf("read cpu.max: %w", err)
		}
		if quota != unlimited {
			if w[cpuQuota], err = strconv.ParseUint(quota, 10, 64); err != nil {
				return nil, fmt.Errorf("read cpu.max: %w", err)
			}
		}
	}
	if err := readLimit(w, cpuWeight, dir, "cpu.weight"); err != nil {
		return nil, err
	}
	return settleCPU(w), nil
}

func (cpuV2) write(dir string, w wishes) error {
	s := settleCPU(w)
	limited := len(s.only(cpuQuota, cpuPeriod)) > 0
	if err := writeIfOther(dir, "cpu.max", s.text(cpuQuota, unlimited)+" "+s.period(), limited); err != nil {
		return err
	}
	_, limited = s[cpuWeight]
	return writeIfOther(dir, "cpu.weight", s.text(cpuWeight, strconv.Itoa(defaultWeight)), limited)
}

// cpuV1 is cpu.cfs_quota_us (-1: none), cpu.cfs_period_us and cpu.shares.
type cpuV1 struct{}

func (cpuV1) items() []item          { return []item{cpuQuota, cpuPeriod, cpuWeight} }
func (cpuV1) settle(w wishes) wishes { return settleCPU(w) }

func (cpuV1) read(dir string, want wishes) (wishes, error) {
	w := wishes{}
	err := errors.Join(
		readLimit(w, cpuQuota, dir, "cpu.cfs_quota_us"),
		readLimit(w, cpuPeriod, dir, "cpu.cfs_period_us"),
		readLimit(w, cpuWeight, dir, "cpu.shares"))
	if err != nil {
		return nil, err
	}
	if shares, ok := w[cpuWeight]; ok {
		wanted := uint64(defaultWeight)
		if v, ok := want[cpuWeight]; ok {
			wanted = v
		}
		w[cpuWeight] = weightOf(shares, wanted)
	}
	return settleCPU(w), nil
}

func (cpuV1) write(dir string, w wishes) error {
	s := settleCPU(w)
	if err := writeIfOther(dir, "cpu.cfs_period_us", s.period(), len(s.only(cpuPeriod)) > 0); err != nil {
		return err
	}
	_, limited := s[cpuQuota]
	if err := writeIfOther(dir, "cpu.cfs_quota_us", s.text(cpuQuota, "-1"), limited); err != nil {
		return err
	}
	shares := uint64(defaultShares)
	weight, limited := s[cpuWeight]
	if limited {
		shares = sharesOf(weight)
	}
	return writeIfOther(dir, "cpu.shares", strconv.FormatUint(shares, 10), limited)
}

// sharesOf turns a v2 weight into v1 shares in the proportion that the kernel
// uses itself, 100 to 1024. Two weights never have the same shares, as each
// step is worth ten of them, so weightOf brings the weight back.
func sharesOf(weight uint64) uint64 { return (weight*defaultShares + defaultWeight/2) / defaultWeight }

// weightOf returns the weight that has these shares. Shares between two weights
// become the nearer one, but never the wanted one, which has others.
func weightOf(shares, wanted uint64) uint64 {
	weight := max(1, (shares*defaultWeight+defaultShares/2)/defaultShares)
	switch exact := sharesOf(weight); {
	case exact == shares || weight != wanted:
		return weight
	case exact > shares && weight > 1:
		return weight - 1
	}
	return weight + 1
}
