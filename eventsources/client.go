package eventsources

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"onset/core/control"
	"onset/platform/wire"
)

// window is how many events and changes of facts are on their way at once.
// Init allows a client more.
const window = 256

// atOnce is how many bytes an empty socket surely takes.
const atOnce = 16 << 10

// client is what the host knows of init: the connection, what init was not
// told or has not answered, and the facts of all sources.
type client struct {
	ctx    context.Context // of the host
	logf   func(format string, args ...any)
	places chan struct{} // one of window for each request that counts

	mu       sync.Mutex
	some     sync.Cond // there is something to be sent, or the connection is another
	conn     *conn     // nil while there is none
	queue    []*request
	sent     map[uint32]*request // by serial, without answer
	serial   uint32
	facts    map[string]*held
	last     int // order of the last fact
	refusals map[string]*refusal
}

func newClient(ctx context.Context, logf func(string, ...any)) *client {
	c := &client{ctx: ctx, logf: logf, places: make(chan struct{}, window), sent: map[uint32]*request{}, facts: map[string]*held{},
		refusals: map[string]*refusal{}}
	c.some.L = &c.mu
	return c
}

// request is a call of init. It is answered once, by init or with errLost.
type request struct {
	bytes  []byte
	file   int  // goes with it and is closed after the answer; -1 without
	again  bool // is made on the next connection if it was not answered
	counts bool // has a place
	answer func(m *wire.Message, err error)
}

func newRequest(path control.ObjectPath, m control.Method, file int, args ...any) (*request, error) {
	if file >= 0 {
		args = append(args, 0)
	}
	b, err := (&wire.Call{Path: path, Method: m.Spec(), Args: args}).Encode(0)
	return &request{bytes: b, file: file}, err
}

// clean replaces what D-Bus has no place for.
func clean(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\ufffd")
	}
	return strings.ReplaceAll(text, "\x00", "\ufffd")
}

// cleanAll is clean for a list, which is not changed.
func cleanAll(list []string) []string {
	for i, s := range list {
		if text := clean(s); text != s {
			list = slices.Clone(list)
			list[i] = text
		}
	}
	return list
}

// use makes a connection the current one: it gets all facts, then the events
// that were not answered.
func (c *client) use(k *conn, signal func(*wire.Message)) {
	c.mu.Lock()
	c.conn = k
	waiting := c.queue
	c.queue = nil
	for _, h := range slices.SortedFunc(maps.Values(c.facts), func(a, b *held) int { return cmp.Compare(a.order, b.order) }) {
		if r, err := c.assertion(h); err == nil {
			c.queue = append(c.queue, r)
		} else {
			c.logf("cannot assert %s: %v", h.fact.Name, err)
		}
	}
	c.queue = append(c.queue, waiting...)
	c.mu.Unlock()
	go func() {
		defer close(k.written)
		buffer := make([]byte, 0, 32<<10)
		for list := c.next(k); list != nil; list = c.next(k) {
			if err := k.send(list, buffer); err != nil {
				k.Close()
				return
			}
		}
	}()
	go k.read(func(m *wire.Message) {
		switch m.Kind {
		case wire.ReturnMessage, wire.ErrorMessage:
			c.answered(m)
		case wire.SignalMessage:
			signal(m)
		}
	})
}

// next waits for requests to be written to a connection, and returns none after
// its end.
func (c *client) next(k *conn) []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && c.conn == k {
		c.some.Wait()
	}
	if c.conn != k {
		return nil
	}
	list := c.queue
	c.queue = nil
	for _, r := range list {
		c.number(r)
	}
	return list
}

// lose ends a connection. The next one gets what was not answered and is to be
// made again, in order.
func (c *client) lose(k *conn) {
	k.Close()
	c.mu.Lock()
	c.conn = nil
	c.some.Broadcast()
	c.mu.Unlock()
	<-k.gone
	<-k.written
	c.mu.Lock()
	var open, lost, again []*request
	for _, serial := range slices.Sorted(maps.Keys(c.sent)) {
		open = append(open, c.sent[serial])
	}
	clear(c.sent)
	for _, r := range append(open, c.queue...) {
		if r.again {
			again = append(again, r)
		} else {
			lost = append(lost, r)
		}
	}
	c.queue = again
	c.mu.Unlock()
	for _, r := range lost {
		c.finish(r, nil, errLost)
	}
}

// answered finishes the request that a message answers.
func (c *client) answered(m *wire.Message) {
	c.mu.Lock()
	r := c.sent[m.ReplyTo]
	delete(c.sent, m.ReplyTo)
	c.mu.Unlock()
	if r == nil {
		return
	}
	var err error
	if m.Kind == wire.ErrorMessage {
		if e, bad := m.Error(); bad == nil {
			err = e
		} else {
			err = bad
		}
	}
	c.finish(r, m, err)
}

func (c *client) finish(r *request, m *wire.Message, err error) {
	closeFile(r.file)
	if r.counts {
		<-c.places
	}
	r.answer(m, err)
}

// place waits for a place among the requests on their way.
func (c *client) place(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case c.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// push sends a request, with the lock held. It leaves that to the writer if
// something is on its way to init; else the socket is empty and takes it at
// once, which is sooner than the writer would run.
func (c *client) push(r *request) {
	if c.conn == nil || len(c.queue)+len(c.sent) > 0 || len(r.bytes) > atOnce {
		c.queue = append(c.queue, r)
		c.some.Signal()
		return
	}
	c.number(r)
	if err := c.conn.send([]*request{r}, nil); err != nil {
		c.conn.Close()
	}
}

func (c *client) pushLocked(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(r)
}

// number gives a request the next serial; it is as good as sent.
func (c *client) number(r *request) {
	c.serial = max(1, c.serial+1)
	wire.SetSerial(r.bytes, c.serial)
	c.sent[c.serial] = r
}

// ask makes a call for the host itself; the answer is sent to the channel.
func (c *client) ask(path control.ObjectPath, m control.Method, args ...any) <-chan reply {
	answer := make(chan reply, 1)
	r, err := newRequest(path, m, -1, args...)
	if err != nil {
		answer <- reply{err: err}
		return answer
	}
	r.answer = func(m *wire.Message, err error) {
		var body []any
		if err == nil {
			body, err = m.Body()
		}
		answer <- reply{body, err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		answer <- reply{err: errLost}
		return answer
	}
	c.push(r)
	return answer
}

// await waits for an answer that a connection is to bring.
func (c *client) await(k *conn, answer <-chan reply) reply {
	select {
	case r := <-answer:
		return r
	case <-k.gone:
	case <-c.ctx.Done():
	}
	return reply{err: errLost}
}

// reply is what came of a call.
type reply struct {
	body []any
	err  error
}

// emit emits an event for a source, and returns when it is in its place in the
// queue.
func (c *client) emit(ctx context.Context, source string, e Event) error {
	if err := c.place(ctx); err != nil {
		return err
	}
	r, err := emission(e, false)
	if err != nil {
		<-c.places
		return err
	}
	r.counts = true
	r.answer = func(_ *wire.Message, err error) { c.refused(source, "the event "+e.Name, err) }
	c.pushLocked(r)
	return nil
}

// emitThen emits an event, and has over told what init answers when all that it
// brought about is done.
func (c *client) emitThen(e Event, over func(error)) error {
	r, err := emission(e, true)
	if err != nil {
		return err
	}
	r.answer = func(_ *wire.Message, err error) { over(err) }
	c.pushLocked(r)
	return nil
}

// emission is the request that emits an event.
func emission(e Event, wait bool) (*request, error) {
	file, err := copyFile(e.File)
	if err != nil {
		return nil, err
	}
	method := control.EmitEvent
	if file >= 0 {
		method = control.EmitEventWithFile
	}
	r, err := newRequest(control.Root, method, file, clean(e.Name), cleanAll(e.Env), wait)
	if err != nil {
		closeFile(file)
		return nil, err
	}
	r.again = true
	return r, nil
}

// drain waits until init has handled all that it was told, for at most that time.
func (c *client) drain(k *conn, limit time.Duration) {
	select {
	case <-c.ask(control.Root, control.PropertyGetAll, control.InterfaceManager): // it answers in order
	case <-k.gone:
	case <-time.After(limit):
	}
}

// refusal is when a line of a source's was last logged, and what was not since.
type refusal struct {
	last   time.Time
	missed int
}

// refusalTime is how long further refusals are only counted.
const refusalTime = time.Minute

// refused tells what init refused a source, once in a while.
func (c *client) refused(source, what string, err error) {
	if err == nil || err == errLost {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.refusals[source]
	if r == nil {
		r = &refusal{}
		c.refusals[source] = r
	}
	switch {
	case time.Since(r.last) < refusalTime:
		r.missed++
		return
	case r.missed > 0:
		c.logf("%s: init refused %s: %v; %d more before", source, what, err, r.missed)
	default:
		c.logf("%s: init refused %s: %v", source, what, err)
	}
	*r = refusal{last: time.Now()}
}
