package watch

import (
	"testing"

	"blast.example/blast/state"
)

// Only the kernel's own words about the group itself count, and a name that imitates them
// is a name.
func TestVictimIn(t *testing.T) {
	const head = "4,1234,5678,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,2,oom_memcg="
	for record, want := range map[string]state.Victim{
		head + "/blast/1,task_memcg=/blast/1/box,task=python3,pid=47,uid=1000\n":                                                               {HostPID: 47, UID: 1000, Command: "python3"},
		head + "/blast/1/box,task_memcg=/blast/1/box,task=a,pid=47,uid=0\n SUBSYSTEM=x\n":                                                      {HostPID: 47, Command: "a"},
		head + "/blast/1,task_memcg=/blast/1/box,task=x,pid=1,uid=0,pid=47,uid=5\n":                                                            {HostPID: 47, UID: 5, Command: "x,pid=1,uid=0"},
		head + "/blast/12,task_memcg=/blast/1/box,task=a,pid=47,uid=0\n":                                                                       {},
		head + "/,task_memcg=/blast/1/box,task=a,pid=47,uid=0\n":                                                                               {},
		"12,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=,cpuset=/,mems_allowed=0,oom_memcg=/blast/1,task_memcg=/,task=a,pid=1,uid=0\n": {}, // a process wrote that: facility 1
		"4,1,1,-;something else\n": {},
		"":                         {},
	} {
		got, ok := victimIn(record, "/blast/1")
		if got != want || ok != (want != state.Victim{}) {
			t.Errorf("%q: %+v, %v", record, got, ok)
		}
	}
}
