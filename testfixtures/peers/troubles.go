package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
)

// troubles are cases in which something fails.
var troubles = []scene{
	{
		title: "One of 100 fails",
		tofu: func(t *tofu) error {
			r := t.run(tofuEnd, append(tofuApply, "-var", "fail=60")...)
			t.sum(r.exit, "")
			return nil
		},
		blast: func(s *sandbox) error {
			s.breakItem(60, "1")
			s.note("the index gives other bytes for %s than it promised", item(60))
			r := s.run(blastEnd, blastApply...)
			s.sum(r.exit+", "+r.said(blastEnd), "")
			return nil
		},
	},
	{
		title: "A check of the result fails",
		tofu: func(t *tofu) error {
			for _, c := range []struct{ what, config string }{{"a `check` block", tofuConfig + tofuCheck}, {"a `postcondition`", strings.Replace(tofuConfig, "  count ", tofuPostcondition+"  count ", 1)}} {
				if err := t.write(c.config); err != nil {
					return err
				}
				t.note("%s, which nothing meets", c.what)
				r := t.run(tofuEnd+"|^Warning", tofuApply...)
				t.sum(c.what+": "+r.exit+", "+r.said(tofuEnd+"|^Warning"), "")
				if err := t.must("destroy", "-auto-approve", "-no-color"); err != nil {
					return err
				}
			}
			return nil
		},
		blast: func(s *sandbox) error {
			if err := s.write("1", blastConfig+blastCheck); err != nil {
				return err
			}
			s.note("a `check` block, whose command exits with 1")
			r := s.run(blastEnd+"|^✗", blastApply...)
			s.sum("a `check` block: "+r.exit+", "+r.said(blastEnd+"|^✗"), "")
			return s.write("1", blastConfig)
		},
	},
	{
		title:   "The disk runs full in the middle of a first apply",
		ownDisk: true,
		tofu: func(t *tofu) error {
			x, err := t.half("")
			if err != nil {
				return err
			}
			return t.full(x, "1")
		},
		blast: func(s *sandbox) error {
			x, err := s.half()
			if err != nil {
				return err
			}
			return s.full(x, "1")
		},
	},
	{
		title:   "The disk runs full in the middle of a change",
		ownDisk: true,
		tofu: func(t *tofu) error {
			if err := t.must(tofuApply...); err != nil {
				return err
			}
			x, err := t.half("2", "-var", "rev=2")
			if err != nil {
				return err
			}
			return t.full(x, "2", "-var", "rev=2")
		},
		blast: func(s *sandbox) error {
			if err := s.must(blastApply...); err != nil {
				return err
			}
			if err := s.write("2", strings.Replace(blastConfig, "max = 64", "max = 65", 1)); err != nil {
				return err
			}
			x, err := s.half()
			if err != nil {
				return err
			}
			return s.full(x, "2")
		},
	},
	{
		title: "The state file is immutable (`chattr +i`)",
		tofu:  func(t *tofu) error { return t.unwritable(immutable) },
		blast: func(s *sandbox) error { return s.unwritable(immutable) },
	},
	{
		title: "The state file is on a read-only mount",
		tofu:  func(t *tofu) error { return t.unwritable(readOnly) },
		blast: func(s *sandbox) error { return s.unwritable(readOnly) },
	},
}

const (
	tofuCheck = `
check "it" {
  assert {
    condition     = terraform_data.item[0].output == "absent"
    error_message = "It isn't there."
  }
}
`
	tofuPostcondition = `  lifecycle {
    postcondition {
      condition     = self.output == "absent"
      error_message = "It isn't there."
    }
  }

`
	blastCheck = `
check "it" {
  command = ["python", "-c", "import item000, absent"]
}
`
)

// unwritable applies a change while the state file can't be written.
func (t *tofu) unwritable(shut func(p *program, file string, do func()) error) error {
	if err := t.must(tofuApply...); err != nil {
		return err
	}
	var r result
	err := shut(&t.program, "terraform.tfstate", func() { r = t.run(tofuEnd, append(tofuApply, "-var", "rev=2")...) })
	t.sum(r.exit+", "+r.said(tofuEnd), "2")
	return err
}

func (s *sandbox) unwritable(shut func(p *program, file string, do func()) error) error {
	if err := errors.Join(s.must(blastApply...), s.write("2", blastConfig)); err != nil {
		return err
	}
	var r result
	err := shut(&s.program, ".blast/default/state.json", func() { r = s.run(blastEnd, blastApply...) })
	s.sum(r.exit+", "+r.said(blastEnd), "2")
	return err
}

// full fills the disk under an apply, lets it end, and makes room again.
func (t *tofu) full(x *running, rev string, args ...string) error {
	t.note("now the disk is filled")
	if err := t.disk.fill(); err != nil {
		return err
	}
	const told = `^Error: |^Error message|(?i)no space left`
	r, err := x.end(told)
	if err != nil {
		return err
	}
	t.sum(r.exit+", "+r.said(told), rev)
	if r.count(`"lineage":`) > 0 {
		t.note("the state is printed on the terminal")
		t.saw("the state is printed on the terminal")
	}
	t.note("there is room again")
	if err := t.disk.free(); err != nil {
		return err
	}
	t.next(rev, args...)
	return nil
}

func (s *sandbox) full(x *running, rev string) error {
	s.note("now the disk is filled")
	if err := s.disk.fill(); err != nil {
		return err
	}
	const told = `(?i)no space left|nothing changed`
	r, err := x.end(told)
	if err != nil {
		return err
	}
	s.sum(r.exit+", "+r.said(told), rev)
	s.note("there is room again")
	if err := s.disk.free(); err != nil {
		return err
	}
	s.next(rev)
	return nil
}

// immutable makes a file one that not even root may change, for a while.
func immutable(p *program, file string, do func()) error {
	p.did("chattr +i " + file)
	path := filepath.Join(p.dir, file)
	if err := exec.Command("chattr", "+i", path).Run(); err != nil {
		return err
	}
	do()
	return exec.Command("chattr", "-i", path).Run()
}

// readOnly mounts a file on itself, read-only, for a while.
func readOnly(p *program, file string, do func()) error {
	p.did("mount --bind " + file + " " + file + " && mount -o remount,bind,ro " + file)
	path := filepath.Join(p.dir, file)
	err := exec.Command("mount", "--bind", path, path).Run()
	if err == nil {
		if err = exec.Command("mount", "-o", "remount,bind,ro", path).Run(); err == nil {
			do()
		}
		err = errors.Join(err, exec.Command("umount", path).Run())
	}
	return err
}
