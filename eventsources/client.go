package eventsources

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

// window is how many calls are on their way at once. Init allows a client more.
const window = 256

// goCall begins a call; its Done is for one receiver.
func goCall(ctx context.Context, conn *dbus.Conn, path control.ObjectPath, m control.Method, args ...any) *dbus.Call {
	spec := m.Spec()
	return conn.Object("", dbus.ObjectPath(path)).GoWithContext(ctx, spec.Interface+"."+spec.Name, 0, make(chan *dbus.Call, 1), args...)
}

// isAnswer reports whether an error is what init answered, and not the end of
// the connection.
func isAnswer(err error) bool {
	_, ok := errors.AsType[dbus.Error](err)
	return ok
}

// client is what the host knows of init: the connection, and the facts of all
// sources.
type client struct {
	mu   sync.Mutex
	conn *dbus.Conn    // nil while there is none
	up   chan struct{} // closed once there is one

	// changing orders changes of facts, on the wire as in the table.
	changing sync.Mutex
	facts    map[string]*held
	last     int
}

// held is a fact and who holds it.
type held struct {
	fact  Fact
	order int
	by    map[string]int // source: the run of it that asserted the fact last
}

func newClient() *client {
	return &client{up: make(chan struct{}), facts: map[string]*held{}}
}

// dial connects to init; signals are the handler's. The end of the context ends
// the connection.
func dial(ctx context.Context, address string, h dbus.SignalHandler) (*dbus.Conn, error) {
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(h), dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// use makes a connection the current one after it got all facts.
func (c *client) use(conn *dbus.Conn) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	var all []factCall
	for _, h := range slices.SortedFunc(maps.Values(c.facts), func(a, b *held) int { return cmp.Compare(a.order, b.order) }) {
		all = append(all, factCall{control.AssertFact, h.fact})
	}
	if err := c.send(conn, all); err != nil && !isAnswer(err) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	close(c.up)
	return nil
}

// drop closes a connection, after which the next one is waited for.
func (c *client) drop(conn *dbus.Conn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == conn {
		c.conn, c.up = nil, make(chan struct{})
	}
}

// current waits for a connection.
func (c *client) current(ctx context.Context) (*dbus.Conn, error) {
	for {
		c.mu.Lock()
		conn, up := c.conn, c.up
		c.mu.Unlock()
		if conn != nil {
			return conn, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// emit emits an event, again where the connection was lost on the way.
func (c *client) emit(ctx context.Context, e Event, wait bool) error {
	for {
		conn, err := c.current(ctx)
		if err != nil {
			return err
		}
		method, args := control.EmitEvent, []any{e.Name, e.Env, wait}
		if e.File != nil {
			method, args = control.EmitEventWithFile, append(args, dbus.UnixFD(e.File.Fd()))
		}
		call := <-goCall(ctx, conn, control.Root, method, args...).Done
		switch {
		case call.Err == nil || isAnswer(call.Err):
			return call.Err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		c.drop(conn)
	}
}

// factCall is a change of a fact to be told to init.
type factCall struct {
	method control.Method
	fact   Fact
}

// send makes calls and returns the first error, that of the connection before
// any that init answered. What init refuses to assert is not held.
func (c *client) send(conn *dbus.Conn, calls []factCall) (err error) {
	for part := range slices.Chunk(calls, window) {
		var sent []*dbus.Call
		for _, f := range part {
			sent = append(sent, goCall(context.Background(), conn, control.Root, f.method, f.fact.Name, f.fact.Env))
		}
		for i, call := range sent {
			if <-call.Done; call.Err == nil {
				continue
			}
			if isAnswer(call.Err) && part[i].method == control.AssertFact {
				delete(c.facts, part[i].fact.key())
			}
			if err == nil || !isAnswer(call.Err) {
				err = call.Err
			}
		}
	}
	return err
}

// owner is a run of a source.
type owner struct {
	source string
	run    int
}

func (f Fact) key() string { return f.Name + "\x00" + strings.Join(f.Env, "\x00") }

// change makes facts of a source true, and those false that it holds and gone
// selects. Without a connection the next one gets what then holds.
func (c *client) change(by owner, assert []Fact, gone func(key string, run int) bool) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	var calls []factCall
	for _, f := range assert {
		h := c.facts[f.key()]
		if h == nil {
			c.last++
			h = &held{f, c.last, map[string]int{}}
			c.facts[f.key()] = h
			calls = append(calls, factCall{control.AssertFact, f})
		}
		h.by[by.source] = by.run
	}
	for key, h := range c.facts {
		if run, ok := h.by[by.source]; !ok || !gone(key, run) {
			continue
		}
		if delete(h.by, by.source); len(h.by) == 0 {
			delete(c.facts, key)
			calls = append(calls, factCall{control.RetractFact, h.fact})
		}
	}
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	if err := c.send(conn, calls); isAnswer(err) {
		return err
	}
	return nil
}
