package attack

func (w *world) tunnel() {}
