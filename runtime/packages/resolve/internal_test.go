package resolve

import (
	"testing"

	"blast.example/blast/runtime/packages/pep440"
)

func version(t *testing.T, s string) pep440.Version {
	t.Helper()
	v, err := pep440.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
