package filesystem

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem/pathglob"
)

// TrackAddr is the address of what is noted about the use of files.
const TrackAddr = "filesystem.track"

// Track is the attributes of filesystem.track: which accesses go on record, and which
// of them are too many.
type Track struct {
	Level  string   `json:"level"` // Writes | All
	Paths  []string `json:"paths"` // patterns of pathglob, in the sandbox
	Alerts []Alert  `json:"alerts,omitempty"`

	// Drift says how what is watched differs from what was applied; it is never set in
	// what is wanted.
	Drift []string `json:"drift,omitempty"`
}

// Levels of tracking.
const (
	None   = "none"
	Writes = "writes" // what changes files
	All    = "all"    // reading and executing, too
)

// Events that an alert may count; each is also what an access on record did.
const (
	Read    = "read"
	Write   = "write"
	Create  = "create"
	Delete  = "delete"
	Rename  = "rename"
	Execute = "execute"
	Denied  = "denied" // the kernel refused one of those
)

// Actions of an alert. What an action does those before it do, too.
const (
	Log    = "log"
	Freeze = "freeze"
	Kill   = "kill"
)

var (
	levels  = []string{None, Writes, All}
	events  = []string{Read, Write, Create, Delete, Rename, Execute, Denied}
	actions = []string{Log, Freeze, Kill}
)

// An Alert fires when an event happens too often, or to too many bytes, within a time
// that slides.
type Alert struct {
	Name      string        `json:"name"`
	Event     string        `json:"event"`
	Threshold int64         `json:"threshold,omitempty"` // accesses; 0: only Bytes count
	Bytes     int64         `json:"bytes,omitempty"`     // of the files read or written; 0: only Threshold counts
	Window    time.Duration `json:"window"`              // ns
	Paths     []string      `json:"paths,omitempty"`     // patterns of pathglob; none: all that is tracked
	Action    string        `json:"action"`              // Log | Freeze | Kill

	// FirstSeen: only what happens in a folder in which the environment never did the like
	// counts, once Learn has passed since that began to be remembered.
	FirstSeen bool          `json:"first_seen,omitempty"`
	Learn     time.Duration `json:"learn,omitempty"` // ns
}

const (
	defaultWindow = 10 * time.Second
	defaultLearn  = time.Hour
)

var trackBlock = block.Block{
	Name: "track", Doc: "Which accesses to files go on record, for `blast files`. Without the block none do. docs/FILES.md says what can be seen, and what it costs.",
	Attrs: []block.Attr{
		{Name: "level", Kind: block.String, OneOf: levels, Default: `"writes"`, Source: "fanotify(7)", Doc: "\"writes\" is what changes files: written, created, deleted, renamed. \"all\" is reading and executing, too."},
		{Name: "paths", Kind: block.Strings, Example: `["/workspace"]`, Default: "all that the filesystem block mounts", Doc: "Where: paths in the sandbox with all below them; * and ? stand for a part of a name, ** for any folders."},
	},
}

var alertBlock = block.Block{
	Name: "alert", Label: "name", Doc: "An access that happens too often. It counts what the track block lets go on record.", NotYet: []string{"for_each"},
	Attrs: []block.Attr{
		{Name: "event", Kind: block.String, Required: true, Example: `"delete"`, OneOf: events, Doc: "What counts. \"read\" and \"execute\" take level = \"all\"; \"denied\" is any access that the kernel refused, and takes a kernel that tells of it."},
		{Name: "threshold", Kind: block.Int, Example: "200", Default: "none; one of threshold and bytes. With first_seen 1", Min: 1, Max: 1_000_000, Doc: "How many of them are too many. What one process does to one path within a second counts once."},
		{Name: "bytes", Kind: block.Size, Example: `"100MiB"`, Default: "none; one of threshold and bytes", Min: 1, Doc: "How much is too much, of \"read\" and \"write\": the size of each file that counts."},
		{Name: "window", Kind: block.Duration, Example: `"10s"`, Default: `"10s"`, Min: int64(100 * time.Millisecond), Max: int64(24 * time.Hour), Doc: "Within which time. It slides, in steps of a 64th."},
		{Name: "paths", Kind: block.Strings, Example: `["*.pem"]`, Default: "all that is tracked", Doc: "Which files count: as paths of track, and a pattern without a / is about the name of a file or folder."},
		{Name: "first_seen", Kind: block.Bool, Default: "false", Doc: "Whether only what happens in a folder counts in which this event never happened before, in the life of the environment."},
		{Name: "learn", Kind: block.Duration, Example: `"1h"`, Default: `"1h"`, Min: int64(time.Second), Max: int64(30 * 24 * time.Hour), Doc: "With first_seen: for how long, from the apply that begins it, folders are only remembered."},
		{Name: "action", Kind: block.String, OneOf: actions, Default: `"log"`, Doc: "\"log\" notes it, and `blast run` says so when the command is over; \"freeze\" stops all processes of the environment, until `blast thaw`; \"kill\" ends all its commands."},
	},
}

// track reads both blocks. There is no object if nothing is to be tracked.
func (r *reading) track(t Tree) (plan.Object, bool) {
	v := r.Block("track")
	alerts := r.Blocks("alert")
	level := None
	if v != nil {
		level = v.String("level", Writes)
	}
	out := Track{Level: level}
	src := block.Origins{"": r.src[""]}
	for _, a := range alerts {
		if one, ok := r.alert(a, level, v); ok {
			out.Alerts = append(out.Alerts, one)
			a.Sources(src, "alert."+a.Label)
		}
	}
	if level == None {
		return plan.Object{}, false
	}
	v.Sources(src, "track")
	src[""] = src["track"]
	if out.Paths = r.patterns(v, "track"); len(out.Paths) == 0 {
		out.Paths = t.places()
	}
	slices.SortFunc(out.Alerts, func(a, b Alert) int { return cmp.Compare(a.Name, b.Name) })
	obj := src.Object(TrackAddr, out)
	obj.Needs = []string{TreeAddr}
	return obj, true
}

// places are where the tree mounts what a command may work with.
func (t Tree) places() []string {
	var out []string
	for _, m := range t.Mounts {
		if m.Type == Bind || m.Type == Tmpfs || m.Type == Layer {
			out = append(out, m.Target)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// untracked are folders of the sandbox in which the kernel, and not a file system,
// answers.
var untracked = []string{"/proc", "/sys", "/dev"}

// patterns reads and checks a list of them.
func (r *reading) patterns(v *block.Values, where string) []string {
	var out []string
	for _, p := range v.Strings("paths") {
		abs := path.IsAbs(p.Text)
		switch err := pathglob.Check(p.Text); {
		case err != nil:
			r.report(block.Errorf(p.Range, "Malformed pattern", "%s has the path %q: %v. Write for example \"/workspace/src\" or \"/workspace/**/*.pem\".", where, p.Text, err))
			continue
		case where == "track" && !abs:
			r.report(block.Errorf(p.Range, "Relative path", "%s has the path %q; where to look has to be said from the root of the sandbox. Write for example \"%s/**/%s\".", where, p.Text, WorkspaceDir, p.Text))
			continue
		case abs && slices.ContainsFunc(untracked, func(dir string) bool { return within(pathglob.Base(p.Text), dir) }):
			r.report(block.Errorf(p.Range, "Path can't be tracked", "%s has the path %q, where there are no files but what the kernel answers. Remove it.", where, p.Text))
			continue
		}
		if !slices.Contains(out, p.Text) {
			out = append(out, p.Text)
		}
	}
	slices.Sort(out)
	return out
}

var alertName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

func (r *reading) alert(v *block.Values, level string, track *block.Values) (Alert, bool) {
	a := Alert{Name: v.Label, Event: v.String("event", ""), Action: v.String("action", Log), Window: defaultWindow, Paths: r.patterns(v, "alert "+v.Label)}
	if d, ok := v.Duration("window"); ok {
		a.Window = d
	}
	a.Threshold, _ = v.Int("threshold")
	a.Bytes, _ = v.Int("bytes")
	if a.FirstSeen = v.Bool("first_seen", false); a.FirstSeen {
		a.Learn = defaultLearn
		if d, ok := v.Duration("learn"); ok {
			a.Learn = d
		}
		if a.Threshold == 0 && a.Bytes == 0 && !v.Wrote("threshold") && !v.Wrote("bytes") {
			a.Threshold = 1
		}
	}
	if d := a.problem(v, level, track); d != nil {
		r.report(d)
		return a, false
	}
	return a, a.Event != ""
}

func (a Alert) problem(v *block.Values, level string, track *block.Values) *hcl.Diagnostic {
	switch {
	case !alertName.MatchString(a.Name):
		return block.Errorf(v.LabelRange, "Malformed name", "alert %q is not a name: letters, digits, - and _, at most 63 of them, and the first is a letter or digit. Write for example \"mass-delete\".", a.Name)
	case level == None && track == nil:
		return block.Errorf(v.Range, "Alert without tracking", "alert %q counts what is on record, and without a track block nothing is. Add: track {}.", a.Name)
	case level == None:
		return block.Errorf(track.At("level"), "Alert without tracking", "alert %q counts what is on record, and with level = \"none\" nothing is. Write level = \"writes\", or remove the alert.", a.Name)
	case (a.Event == Read || a.Event == Execute) && level != All:
		return block.Errorf(v.At("event"), "Event that is not tracked", "alert %q counts %q, which level = %q leaves out. Write level = \"all\" in the track block.", a.Name, a.Event, level)
	}
	return a.unbound(v)
}

// unbound finds what is wrong with how much is too much.
func (a Alert) unbound(v *block.Values) *hcl.Diagnostic {
	switch {
	case a.Threshold == 0 && a.Bytes == 0 && !v.Wrote("threshold") && !v.Wrote("bytes"):
		return block.Errorf(v.Range, "Alert without a bound", "alert %q has neither threshold nor bytes, so nothing is too much. Write for example threshold = 200.", a.Name)
	case v.Wrote("learn") && !a.FirstSeen:
		return block.Errorf(v.At("learn"), "Learning without first_seen", "alert %q has learn, which is about folders that are seen for the first time. Add first_seen = true, or remove learn.", a.Name)
	case a.Bytes != 0 && a.Event != Read && a.Event != Write:
		return block.Errorf(v.At("bytes"), "Bytes of an event without any", "alert %q counts bytes of %q, and only \"read\" and \"write\" have them. Write threshold instead.", a.Name, a.Event)
	}
	return nil
}
