package posix

// listening is nothing: this kernel's manager looks for sockets that
// listen.
type listening struct{}

func (listening) prepareListens() *SetupError { return nil }

func (listening) tellListens() {}
