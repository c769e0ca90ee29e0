package hostinfo

import (
	"maps"
	"os"
	"strings"
	"testing"

	"blast.example/blast/plan"
)

func TestIdentityIsStableAndHidesTheMachineID(t *testing.T) {
	a, b := Identity(), Identity()
	if !maps.Equal(a, b) || a["kernel"] == "" || a["arch"] == "" || a["cgroups"] == "" || len(a[plan.Machine]) != 12 {
		t.Errorf("%v, then %v", a, b)
	}
	id, err := os.ReadFile("/etc/machine-id")
	if err == nil && strings.Contains(string(id), a[plan.Machine]) {
		t.Error("the machine's id is shown")
	}
}
