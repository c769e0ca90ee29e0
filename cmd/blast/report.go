package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/kinds/words"
)

// reportFlags are the forms in which a verb tells its plan. One run writes all that
// are asked for.
type reportFlags struct {
	JSON          bool   `name:"json" help:"Print lines of JSON in the place of text, in the names of terraform plan -json."`
	JSONInto      string `name:"json-into" placeholder:"FILE" help:"Write the lines of --json to FILE, beside the text."`
	Summary       bool   `help:"Print a line per kind and the counts, not every change."`
	Markdown      string `placeholder:"FILE" help:"Write a comment for a review: what destroys or widens first, below 60 KB. - is stdout; to $GITHUB_STEP_SUMMARY it is added."`
	GitLab        string `name:"gitlab" placeholder:"FILE" help:"Write the counts as GitLab's artifacts:reports:terraform."`
	GitLabQuality string `name:"gitlab-quality" placeholder:"FILE" help:"Write what widens access as GitLab's artifacts:reports:codequality."`
}

// begin opens the streams, so that what goes wrong from here on is in them.
func (f reportFlags) begin(u *ui) error {
	if f.JSON && f.Markdown == "-" {
		return u.misused("--json and --markdown - both want stdout: give one a file")
	}
	if f.JSON {
		u.streams = append(u.streams, view.NewStream(u.out, release.Version))
	}
	if f.JSONInto != "" {
		w, err := streamFile(f.JSONInto)
		if err != nil {
			return fmt.Errorf("--json-into: %w", err)
		}
		u.streams = append(u.streams, view.NewStream(w, release.Version))
		u.closers = append(u.closers, w)
	}
	return nil
}

// quiet reports whether stdout has another form than text.
func (f reportFlags) quiet() bool { return f.JSON || f.Markdown == "-" }

// show tells a plan on stdout, and in the streams.
func (f reportFlags) show(u *ui, p plan.Plan) error {
	return errors.Join(u.stream(p), f.text(u, p))
}

// text tells a plan on stdout, unless that has another form.
func (f reportFlags) text(u *ui, p plan.Plan) error {
	u.untick()
	if f.quiet() {
		return nil
	}
	if f.Summary {
		return view.Summary(u.out, p, u.style())
	}
	return view.Text(u.out, p, u.style())
}

// stream tells a plan in the streams alone.
func (u *ui) stream(p plan.Plan) error {
	if len(u.streams) == 0 {
		return nil
	}
	digest, err := shownDigest(p)
	for _, s := range u.streams {
		s.Plan(p, digest)
	}
	return err
}

// files writes what GitLab reads of a plan.
func (f reportFlags) files(u *ui, p plan.Plan) error {
	var errs []error
	put := func(path string, form func() ([]byte, error)) {
		if path == "" {
			return
		}
		b, err := form()
		if err == nil {
			err = writeReport(path, b)
		}
		errs = append(errs, err)
	}
	put(f.GitLab, func() ([]byte, error) { return view.Report(p) })
	put(f.GitLabQuality, func() ([]byte, error) { return view.Quality(p, u.where) })
	return errors.Join(errs...)
}

// review writes the comment for a review. It comes last, as it says what came of it.
func (f reportFlags) review(u *ui, r view.Review) error {
	if f.Markdown == "" {
		return nil
	}
	r.Where = u.where
	if r.Saved != "" {
		var err error
		if r.Digest, err = shownDigest(r.Plan); err != nil {
			return err
		}
	}
	b := view.Markdown(r)
	if f.Markdown == "-" {
		return printAll(u.out, b)
	}
	return writeReport(f.Markdown, b)
}

// confirm asks about a plan that was shown.
func (f reportFlags) confirm(ctx context.Context, u *ui, question string) (bool, error) {
	if f.quiet() {
		return false, errors.New("can't ask for approval of a plan that is not shown as text: use --auto-approve, or save a plan with `blast plan --out FILE` and apply that")
	}
	return u.confirm(ctx, question)
}

// tell is the answer of a plan that was carried out: the end of the streams, and a
// sentence and the outputs as text.
func (f reportFlags) tell(u *ui, verb string, res outcome, outs []config.Output, sentence string) error {
	all := map[string]view.Output{}
	for _, o := range outs {
		all[o.Name] = view.Output{Sensitive: o.Value == nil, Type: o.Type, Value: o.Value}
	}
	for _, s := range u.streams {
		s.Applied(verb, res.Serial, all)
	}
	if f.quiet() {
		return nil
	}
	return errors.Join(printAll(u.out, []byte(sentence)), u.showOutputs(outs))
}

// end writes the review of a plan that was to be carried out, whatever came of it.
func (f reportFlags) end(u *ui, p plan.Plan, result string, err error) error {
	if rerr := f.review(u, view.Review{Plan: p, Result: result}); err == nil {
		err = rerr
	} else if rerr != nil {
		u.complain("%v", rerr)
	}
	return err
}

// close ends all streams, and turns success into failure if one is not whole.
func (u *ui) close(code int) int {
	var errs []error
	for _, s := range u.streams {
		errs = append(errs, s.Err())
	}
	for _, c := range u.closers {
		errs = append(errs, c.Close())
	}
	if err := errors.Join(errs...); err != nil {
		u.say("blast: write --json: %v", err)
		code = cmp.Or(code, exitError)
	}
	return code
}

// diagnose tells the streams what is wrong.
func (u *ui) diagnose(d view.Diagnostic) {
	for _, s := range u.streams {
		s.Diagnostic(d)
	}
}

// complain says what is wrong where it is no mistake in blast.hcl.
func (u *ui) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	u.say("blast: %s", text)
	summary, detail, _ := bytes.Cut([]byte(text), []byte("\n"))
	u.diagnose(view.Diagnostic{Severity: "error", Summary: string(summary), Detail: string(detail)})
}

// diagnosticOf is what is wrong with the configuration, in Terraform's names. The
// line itself is not in it: somebody may have written a value there.
func diagnosticOf(d *hcl.Diagnostic) view.Diagnostic {
	out := view.Diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == hcl.DiagWarning {
		out.Severity = "warning"
	}
	if r := d.Subject; r != nil {
		out.Range = &view.Range{Filename: r.Filename, Start: view.Pos(r.Start), End: view.Pos(r.End)}
	}
	return out
}

// document prints a plan as Terraform's show -json does.
func (u *ui) document(p plan.Plan) error {
	digest, err := shownDigest(p)
	if err != nil {
		return err
	}
	b, err := view.Document(p, view.Options{Version: release.Version, Digest: digest, Hide: words.Conceal})
	if err != nil {
		return err
	}
	return printAll(u.out, b)
}

// streamFile is a new file, or a descriptor of the caller's that has a name: a pipe
// that lies about somewhere could make a command wait.
func streamFile(path string) (io.WriteCloser, error) {
	if isDescriptor(path) {
		return os.OpenFile(path, os.O_WRONLY, 0)
	}
	return newReport(path)
}
