package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tofu is a project of OpenTofu's and what it does to the world around.
type tofu struct {
	program
	effects string // folder with a file per item
	disk    *disk  // on which the project lies; nil is the machine's
}

// An effect can't be made twice, as with most things that have a name.
const tofuConfig = `variable "rev" {
  default = "1"
}

variable "pace" {
  default = "0.1"
}

variable "fail" {
  default = -1
}

resource "terraform_data" "item" {
  count            = 100
  input            = "EFFECTS/${count.index}"
  triggers_replace = var.rev

  provisioner "local-exec" {
    command = "sleep ${var.pace}; test ${count.index} != ${var.fail} && set -C && echo ${var.rev} > ${self.input}"
  }

  provisioner "local-exec" {
    when    = destroy
    command = "rm ${self.input}"
  }
}
`

const (
	planLine = `^Plan:|^Error: |^Error message|^blast:|No changes`
	tofuEnd  = `^Apply complete|^Error: |^Error message`
)

var tofuApply = []string{"apply", "-auto-approve", "-no-color"}

// newTofu makes an empty project, with nothing of this machine's settings.
func newTofu(bin, dir string, d *disk) (*tofu, error) {
	project := filepath.Join(dir, "project")
	if d != nil {
		project = filepath.Join(d.path, "project")
	}
	t := &tofu{program{&journal{}, filepath.Join(bin, "tofu"), project, nil}, filepath.Join(dir, "effects"), d}
	home := filepath.Join(dir, "home")
	if err := errors.Join(os.Mkdir(project, 0o755), os.Mkdir(t.effects, 0o755), os.Mkdir(home, 0o755)); err != nil {
		return nil, err
	}
	rc := filepath.Join(home, "tofurc")
	t.env = []string{"HOME=" + home, "TF_CLI_CONFIG_FILE=" + rc, "CHECKPOINT_DISABLE=1", "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	if err := errors.Join(os.WriteFile(rc, nil, 0o600), t.write(tofuConfig)); err != nil {
		return nil, err
	}
	return t, t.must("init", "-no-color")
}

func (t *tofu) write(config string) error {
	return os.WriteFile(filepath.Join(t.dir, "main.tf"), []byte(strings.ReplaceAll(config, "EFFECTS", t.effects)), 0o644)
}

// made counts the effects, or those of one revision.
func (t *tofu) made(rev string) int {
	es, _ := os.ReadDir(t.effects)
	n := 0
	for _, e := range es {
		b, _ := os.ReadFile(filepath.Join(t.effects, e.Name()))
		if rev == "" || strings.TrimSpace(string(b)) == rev {
			n++
		}
	}
	return n
}

// tfstate is what is read of a state file.
type tfstate struct {
	Resources []struct {
		Instances []struct {
			Status     string
			Attributes struct {
				Triggers struct{ Value string } `json:"triggers_replace"`
			}
		}
	}
}

// recorded says what the state file has in it; of a later revision than the first
// also how much.
func (t *tofu) recorded(rev string) string {
	b, err := os.ReadFile(filepath.Join(t.dir, "terraform.tfstate"))
	if errors.Is(err, fs.ErrNotExist) {
		return "no state file"
	}
	var s tfstate
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Sprintf("state file of %d bytes, which is no JSON: 0 recorded", len(b))
	}
	n, tainted, fresh := 0, 0, 0
	for _, r := range s.Resources {
		for _, i := range r.Instances {
			n++
			if i.Status == "tainted" {
				tainted++
			}
			if i.Attributes.Triggers.Value == rev {
				fresh++
			}
		}
	}
	text := fmt.Sprintf("%d recorded", n)
	if rev > "1" {
		text += fmt.Sprintf(", %d as new", fresh)
	}
	if tainted > 0 {
		text += fmt.Sprintf(", %d as tainted", tainted)
	}
	return text
}

// half starts an apply and returns when half of its effects are there.
func (t *tofu) half(rev string, args ...string) (*running, error) {
	return t.reach(items/2, rev, args...)
}

func (t *tofu) reach(n int, rev string, args ...string) (*running, error) {
	x, err := t.start(append(tofuApply, args...)...)
	if err != nil {
		return nil, err
	}
	if err := until("so many effects", func() bool { return t.made(rev) >= n || x.over() }); err != nil {
		return nil, err
	}
	t.note("%d effects are there", n)
	return x, nil
}

// sum notes effects and records.
func (t *tofu) sum(when, rev string) {
	still(func() int { return t.made("") })
	what := fmt.Sprintf("%d of %d effects", t.made(rev), items)
	if rev > "1" {
		what += fmt.Sprintf(" are new, %d as before", t.made("1"))
	}
	t.note("%s; %s", what, t.recorded(rev))
	t.saw("%s: %s; %s", when, what, t.recorded(rev))
}

// next notes what a plan and an apply make of what is there.
func (t *tofu) next(rev string, args ...string) {
	p := t.run(planLine, append([]string{"plan", "-no-color"}, args...)...)
	a := t.run(tofuEnd, append(tofuApply, args...)...)
	words := fmt.Sprintf("next `plan`: %s, %s; next `apply`: %s", p.exit, p.said(planLine), a.exit)
	if n := a.count(`^Error: `); n > 0 {
		words += fmt.Sprintf(", %d × “%s”", n, a.quote(`^Error: `))
	}
	t.saw("%s", words)
	t.sum("then", rev)
}
