package main

import (
	"errors"
	"syscall"
	"time"
)

// deaths are cases in which a process ends in the middle of an apply.
var deaths = []scene{
	{
		title: "`kill -9` in the middle of an apply",
		tofu: func(t *tofu) error {
			if err := t.struck(items/2, ""); err != nil {
				return err
			}
			t.sum("after the kill", "")
			t.next("")
			return nil
		},
		blast: func(s *sandbox) error {
			if err := s.struck(items / 2); err != nil {
				return err
			}
			s.sum("after the kill", "")
			s.next("")
			return nil
		},
	},
	{
		title: "The same in a change that takes 40 seconds, after 30",
		tofu: func(t *tofu) error {
			if err := t.must(tofuApply...); err != nil {
				return err
			}
			if err := t.struck(items*3/4, "2", "-var", "rev=2", "-var", "pace=4"); err != nil {
				return err
			}
			t.sum("after the kill", "2")
			t.next("2", "-var", "rev=2")
			return nil
		},
		blast: func(s *sandbox) error {
			if err := errors.Join(s.must(blastApply...), s.write("2", blastConfig)); err != nil {
				return err
			}
			s.pace(2400 * time.Millisecond) // it fetches 6 at once, OpenTofu does 10
			if err := s.struck(items * 3 / 4); err != nil {
				return err
			}
			s.sum("after the kill", "2")
			s.pace(100 * time.Millisecond)
			s.next("2")
			return nil
		},
	},
	{
		title: "Lock of a holder that was killed",
		tofu: func(t *tofu) error {
			if err := t.struck(items/2, ""); err != nil {
				return err
			}
			p := t.run(planLine, "plan", "-no-color")
			t.saw("next `plan`: %s, %s", p.exit, p.said(planLine))
			return nil
		},
		blast: func(s *sandbox) error {
			if err := s.struck(items / 2); err != nil {
				return err
			}
			p := s.run(planLine, "plan")
			s.saw("next `plan`: %s, %s", p.exit, p.said(planLine))
			return nil
		},
	},
	{
		title: "Ctrl-C in the middle of an apply",
		tofu:  func(t *tofu) error { return t.interrupted(1) },
		blast: func(s *sandbox) error { return s.interrupted(1) },
	},
	{
		title: "Ctrl-C twice",
		tofu:  func(t *tofu) error { return t.interrupted(2) },
		blast: func(s *sandbox) error { return s.interrupted(2) },
	},
	{
		title: "The reader of its output goes in the middle of an apply (`2>&1 | less`, then q)",
		tofu: func(t *tofu) error {
			x, err := t.half("")
			if err != nil {
				return err
			}
			r, err := x.deaf()
			if err != nil {
				return err
			}
			t.sum(r.exit, "")
			t.next("")
			return nil
		},
		blast: func(s *sandbox) error {
			x, err := s.half()
			if err != nil {
				return err
			}
			r, err := x.deaf()
			if err != nil {
				return err
			}
			err = s.quiet()
			s.sum(r.exit, "")
			s.next("")
			return err
		},
	},
}

// struck kills the program that applies when so much is done.
func (t *tofu) struck(at int, rev string, args ...string) error {
	x, err := t.reach(at, rev, args...)
	if err != nil {
		return err
	}
	if err := x.kill(syscall.SIGKILL, "KILL"); err != nil {
		return err
	}
	_, err = x.end()
	still(func() int { return t.made("") })
	return err
}

// struck kills both: the daemon, which applies, and the command that waits for it.
func (s *sandbox) struck(at int) error {
	x, err := s.reach(at)
	if err != nil {
		return err
	}
	s.did("kill -KILL $(pidof blastd)")
	if err := s.killDaemon(); err != nil {
		return err
	}
	_ = x.kill(syscall.SIGKILL, "KILL") // it may have noticed
	_, err = x.end()
	return err
}

// interrupted presses Ctrl-C so many times, each when the last one was heard.
func (t *tofu) interrupted(times int) error {
	x, err := t.half("")
	if err != nil {
		return err
	}
	r, err := x.interrupt(times, "Interrupt received")
	if err != nil {
		return err
	}
	t.sum(r.exit+", "+r.said("^Two interrupts|^Interrupt received|Gracefully"), "")
	t.next("")
	return nil
}

func (s *sandbox) interrupted(times int) error {
	x, err := s.half()
	if err != nil {
		return err
	}
	r, err := x.interrupt(times, "interrupted: ")
	if err != nil {
		return err
	}
	err = s.quiet()
	s.sum(r.exit+", "+r.said("nothing changed|interrupted"), "")
	s.next("")
	return err
}

func (x *running) interrupt(times int, heard string) (result, error) {
	for range times {
		if err := x.kill(syscall.SIGINT, "INT"); err != nil {
			return result{}, err
		}
		if err := until("an answer to Ctrl-C", func() bool { return x.over() || (result{out: x.said()}).count(heard) > 0 }); err != nil {
			return result{}, err
		}
	}
	return x.end("^Interrupt received|interrupted:", "Gracefully|nothing changed", "^Two interrupts")
}

// deaf closes the pipe that both outputs go to.
func (x *running) deaf() (result, error) {
	x.p.note("the reader of both outputs goes")
	if err := x.pipe.Close(); err != nil {
		return result{}, err
	}
	return x.end()
}

// quiet waits until nobody works on the sandbox any more, though the command that
// asked for it has gone.
func (s *sandbox) quiet() error {
	return until("the lock", func() bool {
		who, err := s.env0.Holder()
		return err == nil && who == nil
	})
}
