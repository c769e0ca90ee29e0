package main

import (
	"fmt"
	"net"
)

// tutorial is the story. Each scene is a step that may fail.
func (s *stage) tutorial(index string) error {
	for _, scene := range []func() error{
		func() error { return s.begin(index) },
		s.first, s.refused, s.allowed, s.files, s.failing, s.end,
	} {
		if err := scene(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) begin(index string) error {
	s.say("A project with a requirements.txt, an app.py, and a .env that nobody should see.")
	if err := s.run(want{}, "version"); err != nil {
		return err
	}
	if err := s.run(want{says: []string{"Wrote blast.hcl", "api.shop.example"}}, "init", "--index", index); err != nil {
		return err
	}
	s.say("The lab has a name server and a certificate authority of its own:")
	return s.edit("  default = \"deny\"\n", "  default = \"deny\"\n\n  dns {\n    servers = [\"9.9.9.9:53\"]\n  }\n")
}

func (s *stage) first() error {
	if err := s.edit("python {\n", "env = {\n  REQUESTS_CA_BUNDLE = \"/workspace/lab-ca.pem\"\n}\n\npython {\n"); err != nil {
		return err
	}
	for _, step := range []struct {
		w    want
		args []string
	}{
		{want{}, []string{"fmt"}},
		{want{says: []string{"Success!"}}, []string{"validate"}},
		{want{says: []string{"will be created", "Plan: 5 to add, 0 to change, 0 to destroy."}}, []string{"plan"}},
		{want{says: []string{"Apply complete! Resources: 5 added"}}, []string{"apply", "--auto-approve"}},
		{want{says: []string{"No changes."}}, []string{"plan", "--detailed-exitcode"}},
	} {
		if err := s.run(step.w, step.args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) refused() error {
	s.say("The app renders its page with flask and a C extension, and then asks a host that no line names.")
	return s.run(want{exit: 1, says: []string{"apple 3", "Permission denied", "blast: denied by the sandbox", "api.shop.example", "app.py:20", "  allow  blast allow api.shop.example:443\n"}},
		"run", "--", "python", "app.py")
}

func (s *stage) allowed() error {
	s.say("The command that the refusal names, with a reason: the rule is live, nothing restarts.")
	if err := s.run(want{says: []string{`+   egress "api-shop-example" {`, "egress.api-shop-example", "live", "1 changed"}},
		"allow", "api.shop.example:443", "--reason", "prices of the day", "--auto-approve"); err != nil {
		return err
	}
	if err := s.run(want{says: []string{"No changes."}}, "plan", "--detailed-exitcode"); err != nil {
		return err
	}
	if err := s.run(want{says: []string{"apple 3", "https api.shop.example /zen"}, silent: []string{"denied"}}, "run", "--", "python", "app.py"); err != nil {
		return err
	}
	if err := s.run(want{says: []string{"api.shop.example:443", "python app.py:20", "egress.api-shop-example"}}, "connections"); err != nil {
		return err
	}
	if err := s.run(want{says: []string{"Flask", "requests"}}, "run", "--", "pip", "list", "--disable-pip-version-check"); err != nil {
		return err
	}
	return s.run(want{says: []string{"Python 3", "Flask"}}, "run", "--", "flask", "--version")
}

func (s *stage) files() error {
	s.say("Secrets are hidden, the policy is read-only, and what is written belongs to the person.")
	if err := s.run(want{exit: 1, says: []string{"Permission denied"}, silent: []string{"secret@db"}}, "run", "--", "cat", ".env"); err != nil {
		return err
	}
	if err := s.run(want{exit: 2, says: []string{"Read-only file system"}}, "run", "--", "sh", "-c", "echo hacked > blast.hcl"); err != nil {
		return err
	}
	if err := s.run(want{}, "run", "--", "sh", "-c", "echo a note > note.txt; id -un"); err != nil {
		return err
	}
	who, err := s.owner("note.txt")
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%d:%d", person, person); who != want {
		return fmt.Errorf("note.txt belongs to %s, want %s", who, want)
	}
	fmt.Println("note.txt belongs to", who)
	return s.run(want{says: []string{"up", "ok"}}, "status")
}

func (s *stage) failing() error {
	s.say("An apply that fails half-way: the port to publish on is taken. Limits that were changed before are taken back.")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = taken.Close() }()
	if err := s.edit("max = 512\n", "max = 256\n"); err != nil {
		return err
	}
	dns := "  dns {\n    servers = [\"9.9.9.9:53\"]\n  }\n"
	ingress := fmt.Sprintf("\n  ingress \"web\" {\n    port    = 8000\n    publish = %q\n  }\n", taken.Addr())
	if err := s.edit(dns, dns+ingress); err != nil {
		return err
	}
	if err := s.run(want{exit: 10, says: []string{"address already in use", "nothing changed"}}, "apply", "--auto-approve"); err != nil {
		return err
	}
	s.say("The two edits are taken out again, and the plan is empty: all is as before.")
	if err := s.edit("max = 256\n", "max = 512\n"); err != nil {
		return err
	}
	if err := s.edit(dns+ingress, dns); err != nil {
		return err
	}
	return s.run(want{says: []string{"No changes."}}, "plan", "--detailed-exitcode")
}

func (s *stage) end() error {
	if err := s.run(want{says: []string{"Destroy complete!"}}, "destroy", "--auto-approve"); err != nil {
		return err
	}
	return s.clean()
}
