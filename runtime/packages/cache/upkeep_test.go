package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blast.example/blast/runtime/packages/cache"
)

// stored is a cache with the wheels a 1 and b 2.
func stored(t *testing.T) (*cache.Cache, string, []cache.Entry) {
	t.Helper()
	x := serve(t)
	dir := t.TempDir()
	c := cache.New(dir)
	es, err := c.Ensure(t.Context(), []cache.Wheel{x.add("a", "1", map[string]string{"a.py": "x = 1\n"}), x.add("b", "2", map[string]string{"b.py": "y = 1\n"})}, settings)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir, es
}

func list(t *testing.T, c *cache.Cache) map[string]cache.Kept {
	t.Helper()
	all, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]cache.Kept{}
	for _, k := range all {
		out[k.Name] = k
	}
	return out
}

func TestUsedIsWhatIsLinked(t *testing.T) {
	c, dir, es := stored(t)
	if err := os.Link(filepath.Join(es[0].Tree, "lib/python3.11/site-packages/a.py"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	all := list(t, c)
	if a, b := all["a"], all["b"]; !a.Used || b.Used || a.Version != "1" || b.Python != "3.11" || a.Files < 4 || a.Bytes == 0 || a.Damaged != "" {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestRemove(t *testing.T) {
	c, dir, es := stored(t)
	if err := c.Remove(t.Context(), []cache.Kept{list(t, c)["a"]}); err != nil {
		t.Fatal(err)
	}
	leftovers(t, dir)
	if all := list(t, c); len(all) != 1 || all["b"].Name == "" {
		t.Errorf("%+v", all)
	}
	if _, err := os.Stat(es[0].Tree); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestRemoveWaits until nobody uses the cache, or it is cancelled.
func TestRemoveWaits(t *testing.T) {
	c, _, _ := stored(t)
	one, err := c.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Remove(ctx, []cache.Kept{list(t, c)["a"]}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("removed what is in use: %v", err)
	}
	if len(list(t, c)) != 2 {
		t.Error("an entry is gone")
	}
	removed := make(chan error, 1)
	go func() { removed <- c.Remove(t.Context(), []cache.Kept{list(t, c)["a"]}) }()
	two()
	if err := <-removed; err != nil || len(list(t, c)) != 1 {
		t.Error(err)
	}
}

func TestInspectSeesWhatWasChanged(t *testing.T) {
	c, _, es := stored(t)
	file := filepath.Join(es[0].Tree, "lib/python3.11/site-packages/a.py")
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	// With the same size and times only its content tells.
	if err := os.WriteFile(file, []byte("x = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(file, fi.Mode()), os.Chtimes(file, fi.ModTime(), fi.ModTime())); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(es[1].Tree), "installed.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		before := all[i].Damaged
		all[i].Inspect()
		if all[i].Name == "a" && (before != "" || all[i].Damaged != "lib/python3.11/site-packages/a.py was changed") {
			t.Errorf("%q, then %q", before, all[i].Damaged)
		}
		if all[i].Name == "" && before == "" {
			t.Errorf("%+v", all[i])
		}
	}
}
