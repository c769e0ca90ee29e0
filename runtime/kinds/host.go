package kinds

import (
	"context"
	"encoding/json"
	"io"
	"syscall"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem/overlay"
	"blast.example/blast/state"
	"blast.example/blast/state/snapshot/layer"
)

// A Host is the half of a kind that touches the machine. It lives beside the
// kind's words, in a package of its own, so that the command line does not link
// what only the daemon needs.
type Host interface {
	// Observe returns what is really there of env, with attributes that equal
	// the applied ones byte for byte if nobody touched them, and that differ
	// where the host does. Nothing there is an empty list. It changes nothing.
	Observe(ctx context.Context, env state.Env) ([]plan.Object, error)

	// Apply takes one object from c.From to c.To. It succeeds from any point
	// between the two and any number of times, as after a crash nobody knows
	// how far it got; it is its own undo with the sides swapped. What would
	// destroy something that the undo needs waits for Commit. A canceled ctx
	// makes it return early with an error, at a point that the undo can handle. An
	// *apply.GoneError is for an object that ended with what it stood on.
	Apply(ctx context.Context, env state.Env, c plan.Change) error
}

// A Committer keeps old things beside new ones until the change is final.
type Committer interface {
	// Commit drops what was kept of c.From. It is called after the commit point
	// for each change of the plan, and after a rollback for each reversed one.
	// It is idempotent; an error is reported and retried by the next command.
	Commit(ctx context.Context, env state.Env, c plan.Change) error
}

// A Keeper has objects of which a part is on disk and outlives a reboot.
type Keeper interface {
	// Restore is Apply after a reboot in the middle of a change: it takes what is on
	// disk to c.To, and no part of the object that is not. It is idempotent.
	Restore(ctx context.Context, env state.Env, c plan.Change) error
}

// A Watcher has work to do for as long as an environment is up, such as
// answering its DNS. The daemon runs one per live environment.
type Watcher interface {
	// Sync makes the running work match what env's notes say now: it starts,
	// reconfigures or stops. The daemon calls it when it starts, for every
	// environment that is up, before each gate, and after every apply and rollback.
	// It is idempotent and returns when the work is ready.
	Sync(ctx context.Context, env state.Env) error
	// Close ends all work of this process. Kernel objects stay.
	Close() error
}

// A Gater has a say before a change is final.
type Gater interface {
	// Gate returns an error if what was applied must not be kept. It is called
	// after all changes of a plan, when the watchers follow already, and before the
	// commit point. desired is what will be recorded. A cancelled ctx ends it early
	// with an error. It changes nothing.
	Gate(ctx context.Context, env state.Env, desired []plan.Object) error
}

// A Flusher notes what happens in a sandbox with some delay.
type Flusher interface {
	// Flush returns when all that happened before the call is on record, or with
	// an error when ctx ends. It changes nothing else.
	Flush(ctx context.Context, env state.Env) error
}

// A Witness knows how it came that the host is not as it was left.
type Witness interface {
	// Witness returns what is known, by address, about objects of the kind that
	// differ from what was applied: "by nft (pid 4711, uid 0)", "sandbox ended:
	// killed by signal 9". What isn't known is left out. It explains, and nothing
	// may be decided by it: who did it may have lied about themselves. It changes
	// nothing.
	Witness(ctx context.Context, env state.Env) (map[string]string, error)
}

// A Monitor keeps records of what happens in an environment.
type Monitor interface {
	// Records are the names of those that the kind keeps: "connections".
	Records() []string
	// Monitor tells what one of them has, line by line: what is over and what goes on
	// right now; with a.Follow also what comes, until ctx ends or the environment goes
	// down. Nothing there is no line. tell may block for as long as it likes, and
	// nothing but this call waits for that; its error ends the call. A line is a JSON
	// object with a "type". It needs no lock, may come at any time, also during an
	// Apply, and changes nothing.
	Monitor(ctx context.Context, env state.Env, a Asking, tell func(line json.RawMessage) error) error
}

// Asking says what of a Monitor is wanted.
type Asking struct {
	Record string // one of Records
	Follow bool
}

// A Freezer can hold all that runs in an environment still.
type Freezer interface {
	// Freeze returns without an error when nothing runs any more, and with one when
	// all goes on. Where nothing is there it does nothing.
	Freeze(ctx context.Context, env state.Env) error
	Thawer
}

// A Thawer lets what was held still go on.
type Thawer interface {
	// Thaw undoes a Freeze, or what a Copy held, of this process or of one that
	// died. It is idempotent. What env.Held says is to stand still stays so, also if
	// that is noted meanwhile: whoever wants to hold an environment calls env.Keep
	// first and then Freeze, and needs no turn for it.
	Thaw(ctx context.Context, env state.Env) error
}

// A Doubter may know that the reason why an environment was held still is there.
type Doubter interface {
	// Doubt returns an error if it is; by force, it sees to it that the environment can go
	// on for now all the same.
	Doubt(ctx context.Context, env state.Env, force bool) error
}

// A Killer can end the commands that run in an environment.
type Killer interface {
	// Kill sends a signal to every process in the sandbox but its PID 1, which stays up,
	// and returns how many they were. After SIGKILL it returns when they have ended, also
	// those that stand still, which run no more; those that are started meanwhile, too.
	Kill(ctx context.Context, env state.Env, sig syscall.Signal) (int, error)
}

// Choose says which of all changes are meant, or why none is.
type Choose func(all []overlay.Change) ([]overlay.Change, error)

// A Layered has a layer that commands write in the place of the project. The objects are
// those on record.
type Layered interface {
	// Changes lists what is in the layer; with content also the bytes of files that are not
	// large. It changes nothing.
	Changes(ctx context.Context, env state.Env, objs []plan.Object, content bool) ([]overlay.Change, error)
	// Take makes changes the project's own, all or none, and takes them out of the layer; Discard does only
	// that. Nothing runs in the environment meanwhile. They return how many
	// stay in the layer, though they are the project's, for as long as a command is in their folder.
	Take(ctx context.Context, env state.Env, objs []plan.Object, choose Choose) (stay int, err error)
	Discard(ctx context.Context, env state.Env, objs []plan.Object, choose Choose) (stay int, err error)
	// Half reports whether a Take was cut off. Recover takes it back or finishes it.
	Half(env state.Env) bool
	Recover(ctx context.Context, env state.Env, objs []plan.Object) error
}

// A Copier has files that belong into a snapshot.
type Copier interface {
	// Ready does what makes Copy short. It is called while the environment runs.
	Ready(ctx context.Context, env state.Env) error
	// Copy takes a copy of the files as they are. Nothing runs in the environment
	// meanwhile. The copy has no name: it goes with this process.
	Copy(ctx context.Context, env state.Env) (Copy, error)
	Thawer
}

// A Copy is what a Copier took. Close it.
type Copy interface {
	// Pack writes the files as an archive, see package layer. told hears of the
	// bytes that were written.
	Pack(ctx context.Context, w io.Writer, told func(int64)) (layer.Stats, error)
	// Shared reports whether the file system shares the copy's blocks with the
	// original, which takes no time, and how many bytes were copied otherwise.
	Shared() (shared bool, copied int64)
	io.Closer
}

// A Measurer says what an environment takes.
type Measurer interface {
	// Measure fills in its part of v; of what isn't there, nothing. It changes nothing.
	Measure(ctx context.Context, env state.Env, v *state.Vitals) error
}

// A Phaser has a name of its own for the time in which its objects are applied.
type Phaser interface {
	// Phase is "configuring cgroups", say.
	Phase() string
}

// An Expirer has environments end by themselves.
type Expirer interface {
	// Expiry is when env is to be destroyed; the zero time is never. It changes nothing.
	Expiry(env state.Env) (time.Time, error)
}

// A Checker says before anything is planned what this host can't enforce.
type Checker interface {
	// Check returns a problem for each wish of desired, which holds the kind's
	// own objects, that this host can't enforce, and notes that a person should read
	// beside the change. It changes nothing.
	Check(ctx context.Context, env state.Env, desired []plan.Object) ([]Problem, error)
}

// CheckEach asks check about each object of an address, decoded: the usual Check
// of a kind. The first error ends it.
func CheckEach[T any](objs []plan.Object, addr string, check func(T) ([]Problem, error)) ([]Problem, error) {
	var ps []Problem
	for _, o := range objs {
		if o.Addr != addr {
			continue
		}
		var want T
		if err := o.Decode(&want); err != nil {
			return nil, err
		}
		found, err := check(want)
		if err != nil {
			return nil, err
		}
		ps = append(ps, found...)
	}
	return ps, nil
}

// A Problem is a line of the configuration that this host can't enforce, or a note.
type Problem = plan.Problem
