package main

type forceUnlockCmd struct {
	ID   string `arg:"" help:"Of the lock, as blast state lock prints it."`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// Run frees the lock of a dead holder. That is needed only if another process has
// inherited it: else the kernel has done so. A live one's is never freed.
func (cmd *forceUnlockCmd) Run(u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	if _, err := u.client(); err != nil { // root's alone
		return err
	}
	if err := env.BreakLock(cmd.ID); err != nil {
		return locked(err)
	}
	if cmd.JSON {
		return u.answer(lockReport{Environment: env.Name})
	}
	return printAll(u.out, []byte("Environment "+env.Name+" is not locked any more.\n"))
}
