package main

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// plans are cases about what is planned, and what is kept of it.
var plans = []scene{
	{
		title: "A plan while an apply runs",
		tofu: func(t *tofu) error {
			x, err := t.half("")
			if err != nil {
				return err
			}
			p := t.run(planLine, "plan", "-no-color")
			t.saw("`plan`: %s, %s", p.exit, p.said(planLine))
			p = t.run(planLine, "plan", "-no-color", "-lock=false")
			t.saw("`plan -lock=false`: %s, %s", p.exit, p.said(planLine))
			r, err := x.end(`^Apply complete`)
			t.saw("the apply: %s", r.exit)
			return err
		},
		blast: func(s *sandbox) error {
			x, err := s.half()
			if err != nil {
				return err
			}
			p := s.run(planLine, "plan")
			s.saw("`plan`: %s, %s", p.exit, p.said(planLine))
			r, err := x.end(`^Apply complete`)
			s.saw("the apply: %s", r.exit)
			return err
		},
	},
	{
		title: "A saved plan after the configuration changed",
		tofu: func(t *tofu) error {
			if err := t.must("plan", "-no-color", "-out", "p.plan"); err != nil {
				return err
			}
			t.did("tofu plan -no-color -out p.plan")
			t.note("count = 100 becomes 50 in main.tf")
			if err := t.write(strings.Replace(tofuConfig, "= 100", "= 50", 1)); err != nil {
				return err
			}
			r := t.run(tofuEnd, "apply", "-no-color", "p.plan")
			t.sum(r.exit+", "+r.said(tofuEnd), "")
			return nil
		},
		blast: func(s *sandbox) error {
			s.run(planLine, "plan", "--out", "p.plan")
			s.note("max = 64 becomes 32 in blast.hcl")
			if err := s.write("1", strings.Replace(blastConfig, "max = 64", "max = 32", 1)); err != nil {
				return err
			}
			r := s.run(blastEnd, "apply", "p.plan")
			s.sum(r.exit+", "+r.said(blastEnd), "")
			return nil
		},
	},
	{
		title: "A saved plan after somebody else applied",
		tofu: func(t *tofu) error {
			t.run(planLine, "plan", "-no-color", "-out", "p.plan")
			t.run(tofuEnd, tofuApply...)
			r := t.run(tofuEnd, "apply", "-no-color", "p.plan")
			t.sum(r.exit+", "+r.said(tofuEnd), "")
			return nil
		},
		blast: func(s *sandbox) error {
			s.run(planLine, "plan", "--out", "p.plan")
			s.run(blastEnd, blastApply...)
			r := s.run(blastEnd, "apply", "p.plan")
			s.sum(r.exit+", "+r.said(blastEnd), "")
			return nil
		},
	},
	{title: "A secret", tofu: (*tofu).secret, blast: (*sandbox).secret},
}

const hush = "hush-4711-hush"

// secretConfig has the one item depend on something that must not be seen.
const secretConfig = `variable "token" {
  sensitive = true
}

resource "terraform_data" "item" {
  input = var.token
}
`

const encryption = `
variable "passphrase" {
  sensitive = true
}

terraform {
  encryption {
    key_provider "pbkdf2" "key" {
      passphrase = var.passphrase
    }
    method "aes_gcm" "it" {
      keys = key_provider.pbkdf2.key
    }
    state {
      method = method.aes_gcm.it
    }
    plan {
      method = method.aes_gcm.it
    }
  }
}
`

func (t *tofu) secret() error {
	t.env = append(t.env, "TF_VAR_token="+hush, "TF_VAR_passphrase=a long passphrase")
	for _, c := range []struct{ what, config string }{{"sensitive variable", secretConfig}, {"the same with an `encryption` block", secretConfig + encryption}} {
		if err := t.write(c.config); err != nil {
			return err
		}
		_ = os.Remove(filepath.Join(t.dir, "terraform.tfstate"))
		t.note("%s; its value comes as TF_VAR_token", c.what)
		t.run(planLine, "plan", "-no-color", "-out", "p.plan")
		t.run(tofuEnd, "apply", "-no-color", "p.plan")
		n, files, err := occurrences(hush, t.dir)
		if err != nil {
			return err
		}
		t.note("its value is %d times in clear in %s", n, list(files))
		t.saw("%s: its value is %d times in clear in %s", c.what, n, list(files))
	}
	return t.ephemeral()
}

// ephemeral is the way to keep a value out of state altogether.
func (t *tofu) ephemeral() error {
	if err := t.write(strings.Replace(secretConfig, "sensitive = true", "sensitive = true\n  ephemeral = true", 1)); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(t.dir, "terraform.tfstate"))
	t.note("an ephemeral variable is kept out of state, and may be used where nothing is stored only")
	r := t.run(planLine, "plan", "-no-color")
	t.saw("ephemeral variable in a stored attribute: %s, %s", r.exit, r.said(planLine))
	return nil
}

func (s *sandbox) secret() error {
	s.env = append(s.env, "TOKEN="+hush)
	if err := s.write("1", blastConfig+"\nsecret \"TOKEN\" {\n  from = \"env:TOKEN\"\n}\n"); err != nil {
		return err
	}
	s.note("secret \"TOKEN\" { from = \"env:TOKEN\" }; its value comes as TOKEN")
	r := s.run(`^Plan:|^Error|^blast:`, "plan", "--out", "p.plan")
	if r.code != 0 {
		s.saw("`secret` block: %s, %s", r.exit, r.said(`^Error|^blast:`))
		return s.write("1", blastConfig)
	}
	s.run(blastEnd, "apply", "p.plan")
	inside := s.run(`.`, "run", "--", "sh", "-c", "test $TOKEN = "+hush+" && echo a command has it")
	n, files, err := occurrences(hush, s.dir, s.env0.Run)
	if err != nil {
		return err
	}
	s.note("its value is %d times in clear in %s", n, list(files))
	s.saw("`secret` block: its value is %d times in clear in %s; %s", n, list(files), strings.TrimSpace(inside.out))
	return nil
}

func list(files []string) string {
	if len(files) == 0 {
		return "all that was written"
	}
	return strings.Join(files, ", ")
}

// occurrences counts a text in all files below some folders, and in what is packed
// in them.
func occurrences(text string, dirs ...string) (n int, in []string, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || isNamespace(path) {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if k := bytes.Count(unpacked(b), []byte(text)); k > 0 {
				n += k
				in = append(in, filepath.Base(path))
			}
			return nil
		})
		if err != nil {
			return n, in, err
		}
	}
	return n, in, nil
}

// isNamespace tells the name of a namespace, which has no bytes, from a file.
func isNamespace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// unpacked is the content of all that is in a zip, or b.
func unpacked(b []byte) []byte {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return b
	}
	var all []byte
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			continue
		}
		part, _ := io.ReadAll(r)
		_ = r.Close()
		all = append(all, part...)
	}
	return all
}
