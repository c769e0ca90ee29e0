package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
)

// githubPlan marks lines of a review on GitHub, and tells later steps of the job how
// much there is.
// Saved is the file that the plan was saved to, if it was.
func (u *ui) githubPlan(p plan.Plan, saved string) error {
	if !u.github {
		return nil
	}
	for _, a := range view.Annotations(p, u.where) {
		fmt.Fprintln(u.stderr, a)
	}
	path := os.Getenv("GITHUB_OUTPUT")
	if path == "" {
		return nil
	}
	digest := ""
	if saved != "" {
		var err error
		if digest, err = shownDigest(p); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := view.Outputs(&b, p, digest); err != nil {
		return err
	}
	if err := addTo(path, b.Bytes()); err != nil {
		return fmt.Errorf("add to $GITHUB_OUTPUT: %w", err)
	}
	return nil
}

// annotate marks lines that are wrong.
func (u *ui) annotate(diags hcl.Diagnostics) {
	for _, d := range diags {
		a := view.Annotation{Level: "error", Message: d.Summary + ": " + d.Detail}
		if d.Severity == hcl.DiagWarning {
			a.Level = "warning"
		}
		if d.Subject != nil && strings.Contains(d.Subject.Filename, ".") { // what --var says is in no file
			a.File, a.Line, a.Column = u.where.Path(d.Subject.Filename), d.Subject.Start.Line, d.Subject.Start.Column
		}
		fmt.Fprintln(u.stderr, a)
	}
}

// repository says where a project's files are seen by those who review it, from what
// the runners of GitHub and GitLab tell of themselves. Outside of them it is nothing.
// Sources: https://docs.github.com/actions/reference/variables-reference
// https://docs.gitlab.com/ci/variables/predefined_variables/
func repository(project string, env func(string) string) view.Repository {
	var root, lines string
	switch {
	case env("GITHUB_ACTIONS") == "true":
		root = env("GITHUB_WORKSPACE")
		lines = webAddress(env("GITHUB_SERVER_URL"), env("GITHUB_REPOSITORY"), "blob", env("GITHUB_SHA"))
	case env("GITLAB_CI") == "true":
		root = env("CI_PROJECT_DIR")
		lines = webAddress(env("CI_PROJECT_URL"), "-", "blob", env("CI_COMMIT_SHA"))
	}
	rel, err := filepath.Rel(root, project)
	if root == "" || err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return view.Repository{} // of another repository, or none
	}
	if rel == "." {
		rel = ""
	}
	return view.Repository{Folder: filepath.ToSlash(rel), Lines: lines}
}

// webAddress joins what all has to be there.
func webAddress(server string, parts ...string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	for _, p := range parts {
		if p == "" {
			return ""
		}
	}
	return u.JoinPath(parts...).String()
}
