package resource

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

func limits(t *testing.T, src string) Limits {
	t.Helper()
	return configtest.Decode[Limits](t, configtest.Objects(t, Words{}, src), LimitsAddr)
}

// Every number is limited, whoever writes what.
func TestDefaults(t *testing.T) {
	want := Limits{
		CPU:    &CPU{QuotaUS: ptr[int64](200_000), PeriodUS: ptr[uint64](100_000)},
		Memory: &Memory{Max: ptr[int64](2 << 30), Swap: ptr[int64](0)},
		PIDs:   ptr[int64](512),
	}
	for _, src := range []string{"", "resource {\n}\n", "resource {\n  cpu {\n  }\n  memory {\n  }\n  io {\n  }\n  pids {\n  }\n}\n", "resource {\n  pids {\n    max = null\n  }\n}\n"} {
		if d := cmp.Diff(want, limits(t, src)); d != "" {
			t.Errorf("%q: %s", src, d)
		}
		if r := configtest.Decode[Rlimits](t, configtest.Objects(t, Words{}, src), RlimitsAddr); len(r) != 0 {
			t.Errorf("%q: rlimits %v", src, r)
		}
	}
}

func TestCPU(t *testing.T) {
	for src, want := range map[string]CPU{
		"max = 0.5":                          {QuotaUS: ptr[int64](50_000), PeriodUS: ptr[uint64](100_000)},
		"max = 1.5\n    period = \"10ms\"":   {QuotaUS: ptr[int64](15_000), PeriodUS: ptr[uint64](10_000)},
		"quota = \"1s\"":                     {QuotaUS: ptr[int64](1_000_000), PeriodUS: ptr[uint64](100_000)},
		"quota = \"1.5ms\"":                  {QuotaUS: ptr[int64](1_500), PeriodUS: ptr[uint64](100_000)},
		"period = \"1s\"\n    weight = 1":    {QuotaUS: ptr[int64](2_000_000), PeriodUS: ptr[uint64](1_000_000), Weight: ptr[uint64](1)},
		"weight = 10000\n    max = 1 / 10.0": {QuotaUS: ptr[int64](10_000), PeriodUS: ptr[uint64](100_000), Weight: ptr[uint64](10000)},
	} {
		if d := cmp.Diff(&want, limits(t, "resource {\n  cpu {\n    "+src+"\n  }\n}\n").CPU); d != "" {
			t.Errorf("%s: %s", src, d)
		}
	}
	for _, src := range []string{"max = 0", "max = -1", "max = 0.001", "max = 1e9", "quota = \"0\"", "quota = \"999us\"", "period = \"999us\"", "period = \"1001ms\"", "weight = 10001", "quota = \"0.5us\""} {
		if _, diags := configtest.Load(t, configtest.Project(t, "resource {\n  cpu {\n    "+src+"\n  }\n}\n"), Words{}); len(diags) != 1 {
			t.Errorf("%s: %v", src, diags)
		}
	}
}

func TestRlimits(t *testing.T) {
	src := `resource {
  rlimit "nofile" {
    soft = 1024
    hard = "unlimited"
  }
  rlimit "stack" {
    soft = "8MiB"
  }
  rlimit "core" {
    soft = 0
  }
}
`
	got := configtest.Decode[Rlimits](t, configtest.Objects(t, Words{}, src), RlimitsAddr)
	want := Rlimits{"nofile": {Soft: 1024, Hard: unlimited}, "stack": {Soft: 8 << 20, Hard: 8 << 20}, "core": {}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDescribe(t *testing.T) {
	src := func(inner string) *string { s := "resource {\n" + inner + "\n}\n"; return &s }
	for name, c := range map[string]struct {
		before, after *string
		want          string
	}{
		"more memory":     {src("memory {\nmax = \"1GiB\"\n}"), src("memory {\nmax = \"1.5GiB\"\n}"), `~ memory.max widen "1 GiB" "1536 MiB"`},
		"fewer CPUs":      {src(""), src("cpu {\nmax = 0.5\n}"), `~ cpu.quota narrow "2 CPUs" "0.5 CPUs"`},
		"same by quota":   {src("cpu {\nmax = 1\n}"), src("cpu {\nquota = \"100ms\"\n}"), ""},
		"shorter period":  {src(""), src("cpu {\nmax = 2\nperiod = \"10ms\"\n}"), `~ cpu.quota  "2 CPUs" "2 CPUs per 10ms"`},
		"weight":          {src(""), src("cpu {\nweight = 50\n}"), `+ cpu.weight  "" "50"`},
		"swap":            {src(""), src("memory {\nswap = \"1GB\"\n}"), `~ memory.swap widen "0" "1 GB"`},
		"new high":        {src(""), src("memory {\nhigh = \"1GiB\"\n}"), `+ memory.high narrow "" "1 GiB"`},
		"dropped rate":    {src("io {\nread_bps = \"50MiB\"\n}"), src(""), `- io.read_bps widen "50 MiB/s" "unlimited"`},
		"processes":       {src(""), src("pids {\nmax = 513\n}"), `~ pids.max widen "512" "513"`},
		"new rlimit":      {src(""), src("rlimit \"core\" {\nsoft = 0\n}"), "+ rlimit.core.soft narrow \"\" \"0\"\n+ rlimit.core.hard narrow \"\" \"0\""},
		"unlimited":       {src("rlimit \"core\" {\nsoft = 0\n}"), src("rlimit \"core\" {\nsoft = \"unlimited\"\n}"), "~ rlimit.core.soft widen \"0\" \"unlimited\"\n~ rlimit.core.hard widen \"0\" \"unlimited\""},
		"nothing changes": {src(""), src("memory {\nmax = \"2048MiB\"\n}"), ""},
	} {
		if got := strings.TrimSpace(configtest.Items(t, Words{}, c.before, c.after)); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
	if strings.Contains(configtest.Items(t, Words{}, nil, src("")), "widen") {
		t.Error("limits of a new environment widen")
	}
}

func TestSummary(t *testing.T) {
	o := configtest.Objects(t, Words{}, "")[0]
	for _, c := range []plan.Change{{Addr: LimitsAddr, To: o.Attrs}, {Addr: LimitsAddr, From: o.Attrs}} {
		if got := (Words{}).Describe(c).Summary; got != "2 CPUs, 2 GiB, 512 processes" {
			t.Errorf("summary %q", got)
		}
	}
	o = configtest.Objects(t, Words{}, "resource {\n  memory {\n    high = \"1GiB\"\n  }\n}\n")[0]
	if notes := (Words{}).Describe(plan.Change{Addr: LimitsAddr, To: o.Attrs}).Notes; len(notes) != 1 {
		t.Errorf("notes of memory.high: %q", notes)
	}
}

func TestJunk(t *testing.T) { configtest.Junk(t, Words{}) }
