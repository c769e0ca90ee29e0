package daemon

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/wire"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

// user is a kind that starts commands with secrets while it applies.
type user struct {
	*slow
	look func()
	got  string
	fail bool
}

func (h *user) Apply(ctx context.Context, env state.Env, c plan.Change) error {
	if v, ok := kinds.Secrets(ctx)["TOKEN"]; ok {
		h.got = v.Reveal()
	}
	h.look()
	if h.fail && c.To != nil {
		return fmt.Errorf("it failed with %v of %v", kinds.Secrets(ctx)["TOKEN"], kinds.Secrets(ctx))
	}
	return h.slow.Apply(ctx, env, c)
}

// has reports whether a value is in a text, as it is or as the wire has it.
func has(text []byte, value string) bool {
	return bytes.Contains(text, []byte(value)) || bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString([]byte(value))))
}

// A value that a command needs during an apply is in the daemon's memory and nowhere
// else; the key stays with the environment, and goes with it.
func TestSecretsOfAnApply(t *testing.T) {
	value := "v-" + base64.StdEncoding.EncodeToString(secret.NewKey())
	r := newRig(t)
	h := &user{slow: r.host}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Server = &Server{Engine: NewEngine(map[string]kinds.Host{"resource": h}, logger), Log: logger}
	r.timer = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(func() { r.timer.Stop() })
	read := 0
	h.look = func() { // in the middle of the apply: the journal is there
		for _, dir := range []string{r.env.Project, r.env.Run} {
			if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				b, err := os.ReadFile(path)
				if has(b, value) {
					t.Errorf("%s has the value", path)
				}
				read++
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	}
	params := wire.ApplyParams{Env: r.env, Plan: r.plan(t), Secrets: wire.Secrets{Key: secret.NewKey(), Values: map[string][]byte{"TOKEN": []byte(value)}}}
	if text := fmt.Sprintf("%v %+v %#v", params, params, params); has([]byte(text), value) {
		t.Errorf("it prints: %s", text)
	}
	resp, events := r.ask(t, wire.Apply, params)
	if resp.Error != nil || h.got != value || read < 3 {
		t.Fatalf("control: %v, got %q, %d files read", resp.Error, h.got, read)
	}
	if key, err := r.env.Key(); err != nil || !bytes.Equal(key, params.Secrets.Key) {
		t.Errorf("key: %x, %v", key, err)
	}

	// A later one hasn't got it.
	h.got = ""
	if resp, _ = r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: r.plan(t)}); resp.Error != nil || h.got != "" {
		t.Errorf("%v, got %q", resp.Error, h.got)
	}

	// One that fails doesn't tell.
	h.fail = true
	params.Plan = r.plan(t)
	resp, more := r.ask(t, wire.Apply, params)
	if resp.Error == nil || h.got != value {
		t.Fatalf("control: %v, got %q", resp.Error, h.got)
	}
	if said := fmt.Sprint(events, more, resp.Error, log.String()); has([]byte(said), value) || log.Len() == 0 {
		t.Errorf("said or logged: %s", said)
	}

	// Another key is not taken.
	params.Secrets.Key = secret.NewKey()
	if resp, _ = r.ask(t, wire.Apply, params); resp.Error == nil || resp.Error.Message != state.ErrOtherKey.Error() {
		t.Errorf("another key: %v", resp.Error)
	}

	params.Plan = plan.Diff(nil, []plan.Object{plan.NewObject("resource.limits", map[string]int{"pids": 5}, nil)}, nil, nil)
	st, err := r.env.Load()
	if err != nil {
		t.Fatal(err)
	}
	params.Plan.Env, params.Plan.Lineage, params.Plan.Serial = r.env.Name, st.Lineage, st.Serial
	if resp, _ = r.ask(t, wire.Apply, wire.ApplyParams{Env: r.env, Plan: params.Plan}); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	if _, err := os.Lstat(r.env.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after destroy: %v", err)
	}
}

// A daemon that dies when it has kept the key and begun nothing leaves no key behind.
func TestKeyOfNothing(t *testing.T) {
	r := newRig(t)
	if err := errors.Join(r.env.KeepKey(secret.NewKey()), r.env.Claim(state.NewLineage(), nil)); err != nil {
		t.Fatal(err)
	}
	if resp, _ := r.ask(t, wire.Look, wire.LookParams{Env: r.env}); resp.Error != nil {
		t.Fatal(resp.Error)
	}
	for _, dir := range []string{r.env.Dir, r.env.Run} {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
