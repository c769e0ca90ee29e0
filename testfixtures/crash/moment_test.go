package crash

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A victim is a process that is killed while a story is told.
type victim struct {
	name string
	find func(*world, *testing.T, *exec.Cmd) []int
	then func(*world, *testing.T, story, sides, string) verdict
}

var victims = []victim{
	{"blastd", func(w *world, t *testing.T, _ *exec.Cmd) []int { return w.daemons(t) }, (*world).judge},
	{"blast", func(_ *world, _ *testing.T, cmd *exec.Cmd) []int { return []int{cmd.Process.Pid} }, (*world).judgeLater},
	{"PID 1", func(w *world, t *testing.T, _ *exec.Cmd) []int { return w.firsts(t) }, (*world).converges},
}

// Whatever takes part in a command is killed when the dice say: the daemon, the command
// line, and the sandbox's PID 1. BLAST_CRASH_SEED plays a game again.
func TestKillAtAnyMoment(t *testing.T) {
	bin := needs(t)
	seed := dice(t)
	r := rand.New(rand.NewPCG(seed, 0))
	chosen := slices.Clone(stories)
	r.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	if every == 0 {
		chosen = chosen[:3]
	}
	rounds := len(some(504, 8)) / len(chosen)
	died := map[string]int{}
	for _, s := range chosen {
		t.Run(s.name, func(t *testing.T) { newWorld(t, bin).moments(t, s, r, rounds, died) })
	}
	t.Logf("BLAST_CRASH_SEED=%d; killed while the command ran: %v", seed, died)
	if len(died) == 0 {
		t.Error("nobody was killed in time: the test shows nothing")
	}
}

func dice(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("BLAST_CRASH_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal("BLAST_CRASH_SEED: ", err)
	}
	return seed
}

// moments plays a story, and kills each victim some times.
func (w *world) moments(t *testing.T, s story, r *rand.Rand, rounds int, died map[string]int) {
	b := w.both(t, s)
	w.begin(t, s)
	start := time.Now()
	w.do(t, s.step)
	whole, ends := time.Since(start), map[string]int{}
	for range rounds {
		for _, v := range victims {
			begun := time.Now()
			w.begin(t, s)
			what, hit := w.killed(t, s, v, time.Duration(r.Int64N(int64(whole))))
			if hit {
				died[v.name]++
			}
			end := v.then(w, t, s, b, what)
			ends[v.name+" "+string(end)]++
			total.add("random kill of "+v.name, s.name, end, time.Since(begun))
		}
	}
	t.Logf("%d kills of each within %v end %v", rounds, whole, ends)
}

// killed runs the story and kills a victim after a while. It reports whether there was one
// and the command still ran.
func (w *world) killed(t *testing.T, s story, v victim, after time.Duration) (what string, hit bool) {
	t.Helper()
	var said strings.Builder
	cmd := w.command(t.Context(), w.ready(t, s.step)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	for _, pid := range v.find(w, t, cmd) {
		hit = syscall.Kill(pid, syscall.SIGKILL) == nil || hit
	}
	if running, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/stat"); err != nil || v.name != "blast" && strings.Contains(string(running), ") Z ") {
		hit = false
	}
	_ = cmd.Wait()
	return v.name + " killed after " + after.String() + "\n" + said.String(), hit
}

// firsts are the sandbox's PID 1, of the one that is there and of the one that is being
// made.
func (w *world) firsts(t *testing.T) []int {
	t.Helper()
	var out []int
	for _, text := range w.inits(t) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// judgeLater judges when the daemon has taken back what nobody waits for any more.
func (w *world) judgeLater(t *testing.T, s story, b sides, what string) verdict {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); strings.Contains(w.must(t, 0, "plan"), "right now"); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s: the daemon doesn't come to an end", s.name, what)
		}
	}
	return w.judge(t, s, b, what)
}

// converges checks that the next plan misses what ended with its PID 1, and that the next
// commands bring it back.
func (w *world) converges(t *testing.T, s story, b sides, what string) verdict {
	t.Helper()
	planned, code := w.blast(t, "plan", "--detailed-exitcode")
	if code != 0 && code != 2 {
		t.Errorf("%s: %s: plan exits with %d\n%s", s.name, what, code, planned)
	}
	if gens, err := w.env.History(); err != nil || len(gens) > 0 && len(w.inits(t)) == 0 && !strings.Contains(planned, "outside of Blast") {
		t.Errorf("%s: %s: the plan doesn't miss the sandbox (%v):\n%s", s.name, what, err, planned)
	}
	v := b.which(s, w.inventory(t))
	w.begin(t, s)
	if now, want := present(w.inventory(t)), present(b.old); !slices.Equal(now, want) {
		t.Errorf("%s: %s: that leads to %s", s.name, what, difference(now, want))
	}
	w.goesOn(t, s, b, ended, what)
	return v
}

var past = regexp.MustCompile(`^record .* [1-9][0-9]* generations ago`)

// present leaves out earlier generations: bringing back a sandbox makes one more.
func present(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), past.MatchString)
}
