package platform

// Listens hears of the calls by which processes begin to listen (expect
// listen, EXTENSIONS §4). Such a call waits until Taken.
type Listens interface {
	// Watch hears what a process says that was spawned with the other end of
	// socket as Streams.Sign, and all it makes. The socket stays the
	// caller's, who may give it to a later manager; that manager watches it
	// before it first waits.
	Watch(token uint64, address string, socket int) error
	// Taken says that the journal has what the handler was told.
	Taken()
}

// ListenHandler is told what Listens hears. It must only take note.
type ListenHandler interface {
	// Listening says that a process listens at the address, or that nothing
	// will ever tell; once a Watch.
	Listening(token uint64)
	// Unwatched says that no more calls can come. The socket is not used any more.
	Unwatched(token uint64)
	// Remark is something to know about the jobs of that class.
	Remark(token uint64, text string)
}
