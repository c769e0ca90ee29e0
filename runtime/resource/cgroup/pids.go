package cgroup

// pids is pids.max, the same in both versions. It counts threads too.
type pids struct{}

func (pids) items() []item          { return []item{pidsMax} }
func (pids) settle(w wishes) wishes { return w.only(pidsMax) }

func (pids) read(dir string, _ wishes) (wishes, error) {
	w := wishes{}
	return w, readLimit(w, pidsMax, dir, "pids.max")
}

func (pids) write(dir string, w wishes) error {
	_, limited := w[pidsMax]
	return writeIfOther(dir, "pids.max", w.text(pidsMax, unlimited), limited)
}
