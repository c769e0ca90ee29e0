package cache_test

import (
	"math"
	"strings"
	"testing"

	"blast.example/blast/runtime/packages/cache"
)

// TestOneHashForTwoNames: an index that gives a project the hash of another one's
// wheel has it installed neither from the network nor from the cache.
func TestOneHashForTwoNames(t *testing.T) {
	x := serve(t)
	good := x.add("good", "1.0", map[string]string{"good.py": "x = 1\n"})
	c := cache.New(t.TempDir())
	ensure := func(w cache.Wheel) error {
		_, err := c.Ensure(t.Context(), []cache.Wheel{w}, settings)
		return err
	}
	forged := good
	for _, name := range []string{"evil-1.0-py3-none-any.whl", "good-2.0-py3-none-any.whl"} {
		forged.File = name
		if err := ensure(forged); err == nil {
			t.Errorf("%s: from the network", name)
		}
	}
	if err := ensure(good); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"evil-1.0-py3-none-any.whl", "good-2.0-py3-none-any.whl"} {
		forged.File = name
		if err := ensure(forged); err == nil || !strings.Contains(err.Error(), "is of good 1.0") {
			t.Errorf("%s: from the cache: %v", name, err)
		}
	}
	forged.File = strings.ToUpper(good.File[:1]) + good.File[1:] // another way to write it
	if err := ensure(forged); err != nil {
		t.Error(err)
	}
}

// TestSizeBeyondBounds: a size that an index makes up opens no way to the whole disk.
func TestSizeBeyondBounds(t *testing.T) {
	x := serve(t)
	w := x.add("good", "1.0", map[string]string{"good.py": "x = 1\n"})
	for size, want := range map[int64]bool{w.Size: true, math.MaxInt64: false, 1 << 40: false} {
		w.Size = size
		_, err := cache.New(t.TempDir()).Ensure(t.Context(), []cache.Wheel{w}, settings)
		if (err == nil) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
