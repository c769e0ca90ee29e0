package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/term"

	"blast.example/blast/cmd/internal/signature"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
)

// signedSuffix is what ssh-keygen -Y sign calls the signature of a file.
const signedSuffix = ".sig"

// systemSigners is the list of a machine, where none is named.
const systemSigners = "/etc/blast/allowed_signers"

// trustFlags are what a plan must show before it is carried out.
type trustFlags struct {
	ExpectDigest     string `placeholder:"DIGEST" help:"Carry out only the plan with this digest, as blast plan --out printed it."`
	RequireSignature bool   `help:"Carry out only a saved plan with a signature (PLAN.sig) of an allowed signer."`
	AllowedSigners   string `placeholder:"FILE" help:"Whose signatures count, in the format of ssh-keygen(1); by default /etc/blast/allowed_signers."`
	Signer           string `placeholder:"PRINCIPAL" help:"Of the allowed signers only this one."`
}

// check refuses flags that could not hold.
func (f trustFlags) check(u *ui, saved string) error {
	switch {
	case f.RequireSignature && saved == "":
		return u.misused("--require-signature is about a saved plan: name its file")
	case !f.RequireSignature && (f.AllowedSigners != "" || f.Signer != ""):
		return u.misused("--allowed-signers and --signer mean nothing without --require-signature")
	}
	return nil
}

// digest refuses a plan that is not the expected one.
func (f trustFlags) digest(p plan.Plan) error {
	if f.ExpectDigest == "" {
		return nil
	}
	got, err := shownDigest(p)
	if err != nil {
		return err
	}
	if got != f.ExpectDigest {
		return fmt.Errorf("the plan has the digest %s, not %s: it is not the one that was reviewed", got, f.ExpectDigest)
	}
	return nil
}

// shownDigest is the digest as people see it.
func shownDigest(p plan.Plan) (string, error) {
	d, err := p.Digest()
	return "sha256:" + d, err
}

// signature refuses a saved plan whose bytes no allowed signer has signed.
func (f trustFlags) signature(u *ui, path string, text []byte, person int, objs []plan.Object) error {
	if !f.RequireSignature {
		return nil
	}
	list := f.AllowedSigners
	if list == "" {
		list = systemSigners
	}
	allowed, err := signature.ReadAllowedSigners(list, person, writable(objs)...)
	if err != nil {
		return err
	}
	if f.Signer != "" {
		allowed = allowed.For(f.Signer)
	}
	sig, err := readBounded(path+signedSuffix, signature.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not signed: there is no %s%s. Sign it with `blast plan --out FILE --sign-key KEY`, or `ssh-keygen -Y sign -n %s -f KEY %s`", path, path, signedSuffix, signature.Namespace, path)
	}
	if err != nil {
		return fmt.Errorf("read signature: %w", err)
	}
	who, err := signature.Verify(sig, text, signature.Namespace, allowed, time.Now())
	if err != nil {
		return fmt.Errorf("%s%s: %w", path, signedSuffix, err)
	}
	u.say("Signed by %s.", who)
	return nil
}

// writable are the folders that sandboxes write to: a list of signers there would be
// theirs.
func writable(objs []plan.Object) []string {
	var out []string
	for _, o := range objs {
		var t filesystem.Tree
		if o.Addr != filesystem.TreeAddr || o.Decode(&t) != nil {
			continue
		}
		for _, m := range t.Mounts {
			if m.Type == filesystem.Bind && m.Access != "ro" {
				out = append(out, m.Source)
			}
		}
	}
	return out
}

// saveSigned saves a plan with its signature beside it. What was planned is signed,
// and not what lies at path by then: that may be where code in a sandbox writes.
func (u *ui) saveSigned(ctx context.Context, path string, text []byte, key string) error {
	s, err := signature.LoadSigner(ctx, key, u.passphrase(key))
	if err != nil {
		return err
	}
	sig, err := signature.Sign(ctx, s, signature.Namespace, text)
	if err != nil {
		return err
	}
	if err := errors.Join(saveText(path, text), replaceFile(path+signedSuffix, sig)); err != nil {
		return err
	}
	u.say("Signed with %s: %s%s", s.Fingerprint(), path, signedSuffix)
	return nil
}

// passphrase asks on the terminal, without showing what is typed.
func (u *ui) passphrase(key string) signature.Ask {
	if !u.interactive {
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		u.say("Passphrase of %s:", key)
		tty := int(u.stdin.Fd())
		before, err := term.GetState(tty)
		if err != nil {
			return nil, err
		}
		var pass []byte
		done := make(chan error, 1)
		go func() {
			var err error
			pass, err = term.ReadPassword(tty)
			done <- err
		}()
		select {
		case err := <-done:
			return pass, err
		case <-ctx.Done(): // Ctrl-C: what is typed is to be seen again
			return nil, errors.Join(context.Cause(ctx), term.Restore(tty, before))
		}
	}
}
