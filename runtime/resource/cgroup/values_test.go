package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/resource"
)

func TestWeightsAreInvertible(t *testing.T) {
	for weight := uint64(1); weight <= maxWeight; weight++ {
		shares := sharesOf(weight)
		if shares < 2 || shares > 262_144 {
			t.Fatalf("weight %d: %d shares are out of the kernel's range", weight, shares)
		}
		if got := weightOf(shares, weight); got != weight {
			t.Fatalf("weight %d → %d shares → weight %d", weight, shares, got)
		}
		for _, near := range []uint64{shares - 1, shares + 1} {
			if weightOf(near, weight) == weight {
				t.Fatalf("%d shares pass for weight %d", near, weight)
			}
		}
		bfq := bfqWeight(weight)
		if bfq < 1 || bfq > 1000 || bfqWeight(weightOfBFQ(bfq)) != bfq {
			t.Fatalf("weight %d → BFQ %d → %d", weight, bfq, weightOfBFQ(bfq))
		}
	}
}

func TestFlattenAndPutAreInverse(t *testing.T) {
	full := resource.Limits{
		CPU:    &resource.CPU{QuotaUS: ptr[int64](1), PeriodUS: ptr[uint64](2), Weight: ptr[uint64](3)},
		Memory: &resource.Memory{Max: ptr[int64](4), High: ptr[int64](5), Swap: ptr[int64](6)},
		IO:     &resource.IO{Weight: ptr[uint64](7), ReadBPS: ptr[uint64](8), WriteBPS: ptr[uint64](9), ReadIOPS: ptr[uint64](10), WriteIOPS: ptr[uint64](11)},
		PIDs:   ptr[int64](12),
	}
	w, err := flatten(full)
	if err != nil || len(w) != len(items) {
		t.Fatalf("flatten = %v, %v", w, err)
	}
	var back resource.Limits
	for _, it := range items {
		put(&back, it, w)
	}
	if diff := cmp.Diff(full, back); diff != "" {
		t.Error(diff)
	}
	for _, it := range items {
		put(&back, it, nil)
	}
	if w, _ := flatten(back); len(w) != 0 {
		t.Errorf("after all were taken away: %v", w)
	}
	if _, err := flatten(resource.Limits{PIDs: ptr[int64](-1)}); err == nil {
		t.Error("a negative limit passes")
	}
}

func TestParseMounts(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []hierarchy
	}{
		"unified": {
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
			[]hierarchy{{root: "/sys/fs/cgroup", v2: true}},
		},
		"joint v1 controllers, a named hierarchy and v2 beside them": {
			"33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n" +
				"34 32 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n" +
				"35 32 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			[]hierarchy{
				{root: "/sys/fs/cgroup/cpu,cpuacct", controllers: []string{"cpu", "cpuacct"}},
				{root: "/sys/fs/cgroup/systemd", controllers: []string{"xattr"}},
				{root: "/sys/fs/cgroup/unified", v2: true},
			},
		},
		"a container's own part, mounted twice, with a space": {
			`50 40 0:33 /docker/1 /mnt/my\040cgroups rw - cgroup cgroup rw,memory` + "\n" +
				"51 40 0:33 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			[]hierarchy{{root: "/sys/fs/cgroup/memory", controllers: []string{"memory"}}},
		},
		"somewhere else": {
			`50 40 0:33 / /mnt/my\040cgroups rw - cgroup2 none rw` + "\n",
			[]hierarchy{{root: "/mnt/my cgroups", v2: true}},
		},
		"nothing, and broken lines": {"1 2 0:1 / /proc rw - proc proc rw\n - cgroup\nx\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseMounts(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got { // an option, not a controller; nothing asks for it by name
				if len(got[i].controllers) == 0 {
					got[i].controllers = nil
				}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(hierarchy{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDifferingFindsTheOddOne(t *testing.T) {
	want := wishes{ioReadBPS: 10}
	a, b, other, none := wishes{ioReadBPS: 10}, wishes{ioReadBPS: 10}, wishes{ioReadBPS: 11, ioWriteIOPS: 3}, wishes{}
	for name, tt := range map[string]struct {
		places []wishes
		want   wishes
	}{
		"all as wished":       {[]wishes{a, b}, want},
		"one has none":        {[]wishes{a, none, b}, wishes{}},
		"the first has none":  {[]wishes{none, a}, wishes{}},
		"one has another":     {[]wishes{a, other}, other},
		"nowhere":             {nil, wishes{}},
		"a missing device":    {perDevice{}.places([]device{{8, 0}}), wishes{}},
		"a device left over":  {perDevice{"8:0": a, "9:0": other}.places([]device{{8, 0}}), other},
		"only the right ones": {perDevice{"8:0": a}.places([]device{{8, 0}}), want},
	} {
		if diff := cmp.Diff(tt.want, differing(want, tt.places)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestOverlayUpper(t *testing.T) {
	m := mount{options: `rw,lowerdir=/a:/b,upperdir=/up\040per,workdir=/w`}
	if got := m.upper(); got != "/up per" {
		t.Errorf("upper = %q", got)
	}
}
