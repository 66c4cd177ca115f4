package sim

import (
	"slices"

	"onset/core/control"
	"onset/core/engine"
)

// bus holds the clients of the control API.
type bus struct {
	conns    map[uint64]connection
	calls    map[uint64]*Pending
	lastConn uint64
	lastCall uint64
	busError string
	handles  map[int]bool // descriptors that came with calls and messages; false once closed

	lastHandle int // that came with a message
}

// connection is how far the end of a connection has come.
type connection uint8

const (
	open   connection = iota
	hungup            // the client is gone
	gone              // and init was told
)

func newBus() bus {
	return bus{conns: map[uint64]connection{}, calls: map[uint64]*Pending{}, handles: map[int]bool{}}
}

// Pending is a call of a client with what came of it.
type Pending struct {
	ID, Conn uint64
	Call     control.Call
	Reply    *control.Reply // nil before the answer
}

// Connect brings a new client.
func (w *World) Connect() (conn uint64) {
	w.lastConn++
	w.conns[w.lastConn] = open
	return w.lastConn
}

// Connected reports whether neither side has ended the connection.
func (w *World) Connected(conn uint64) bool { return w.conns[conn] == open }

// Call sends a request of root over an open connection.
func (w *World) Call(conn uint64, c control.Call) *Pending {
	return w.CallAs(control.Caller{Conn: conn, PID: int(1000 + conn)}, c)
}

// CallAs sends a request of anybody over an open connection; the caller's ID
// is chosen here.
func (w *World) CallAs(who control.Caller, c control.Call) *Pending {
	if w.conns[who.Conn] != open {
		panic("internal error: a client that is gone calls")
	}
	w.lastCall++
	who.ID = w.lastCall
	p := &Pending{ID: who.ID, Conn: who.Conn, Call: c}
	w.calls[p.ID] = p
	if c.File != 0 {
		w.handles[c.File] = true
	}
	w.happen(engine.Called{Caller: who, Call: c})
	return p
}

// OpenFiles returns the descriptors that came with calls and are not closed.
func (w *World) OpenFiles() []int {
	var files []int
	for f, isOpen := range w.handles { // order-free: sorted below
		if isOpen {
			files = append(files, f)
		}
	}
	slices.Sort(files)
	return files
}

func (w *World) closeFile(f int) {
	if !w.handles[f] {
		w.violate("descriptor %d is closed and not open", f)
	}
	w.handles[f] = false
}

// Hangup takes a client away. Its pending calls will not be answered.
func (w *World) Hangup(conn uint64) {
	if w.conns[conn] == open {
		w.conns[conn] = hungup
		w.happen(engine.Hungup{Conn: conn})
	}
}

// Unanswered returns the calls of living clients that have no reply yet, in
// the order they were made.
func (w *World) Unanswered() []*Pending {
	var left []*Pending
	for _, p := range w.calls { // order-free: sorted below
		if p.Reply == nil && w.conns[p.Conn] == open {
			left = append(left, p)
		}
	}
	slices.SortFunc(left, func(a, b *Pending) int { return int(a.ID) - int(b.ID) })
	return left
}

// BreakBus lets connecting to a message bus fail from now on; empty repairs.
func (w *World) BreakBus(why string) { w.busError = why }

func (w *World) connectBus(e engine.ConnectBus) []engine.Msg {
	if e.Call == 0 {
		return nil
	}
	return []engine.Msg{engine.Done{Call: e.Call, Error: w.busError}}
}

func (w *World) respond(e engine.Respond) {
	p := w.calls[e.Call]
	switch {
	case p == nil:
		w.violate("reply to call %d that nobody made", e.Call)
		return
	case p.Conn != e.Conn:
		w.violate("reply to call %d goes to connection %d, not %d", e.Call, e.Conn, p.Conn)
	case p.Reply != nil:
		w.violate("call %d (%s) is answered twice", e.Call, p.Call.Method.Spec().Name)
	case w.conns[p.Conn] == gone:
		w.violate("reply to call %d of a client that is gone", e.Call)
	case !e.Reply.Fits(&p.Call):
		w.violate("reply %+v does not fit %s", e.Reply, p.Call.Method.Spec().Name)
	}
	p.Reply = &e.Reply
}
