// Package manager puts the parts of a platform together under the loop: it
// carries out the engine's effects on a kernel and turns what happens there
// into inputs.
//
// Everything runs on one goroutine, which Run locks to its thread: tracing and
// waiting belong to a thread. Other goroutines (signals, file notification,
// the writer of job output) only leave something to fetch and wake the poller.
//
// Order of inputs within one wait (UPSTART §8.3): calls and files, then
// signals, then processes, with the execution of a process before its end.
package manager

import (
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/cause"
	"onset/core/control"
	"onset/core/engine"
	"onset/core/loop"
	"onset/core/snapshot"
	"onset/platform"
	"onset/platform/bus"
	"onset/platform/joblog"
	"onset/platform/watch"
)

// Kernel is the back end a manager runs on.
type Kernel struct {
	Poller    platform.Poller
	Processes platform.Processes
	Clock     func() cause.Clock
}

// Config is what a manager is started with.
type Config struct {
	Engine  engine.Options
	Sources []watch.Source
	Watch   bool   // follow changes of the sources
	Address string // of the private socket; empty: none
	NoBus   bool   // never connect to a message bus
	Log     func(p engine.Priority, text string)
	OpenPTY func() (master, slave int, err error)
	Signals *Signals
	// Told is what init learned before it could be told.
	Told []engine.Request
	// State is what an earlier image left for this one; nil at a first start.
	State []byte
}

// Manager is the platform under one engine.
type Manager struct {
	c      Config
	k      Kernel
	engine *engine.Engine
	loop   loop.Loop

	bus     *bus.Server
	logs    *joblog.Logs
	watcher watch.Watcher

	inbox []engine.Msg

	listener   int    // private socket; -1 without
	left       legacy // by the image before
	bequeathed []int  // descriptors that survive an exec
}

// New makes a manager; it acts on nothing before Run.
func New(k Kernel, c Config) (*Manager, error) {
	m := &Manager{c: c, k: k, listener: -1, left: legacy{Listener: -1}}
	if c.State == nil {
		m.engine = engine.New(c.Engine)
	} else if err := m.restore(); err != nil {
		return nil, err
	}
	m.loop = loop.Loop{Engine: m.engine, Platform: m, Dump: m.dump}
	c.Signals.start(c.Engine, k.Poller.Wake)
	m.logs = joblog.New(k.Poller, c.OpenPTY, m.warn)
	m.bus = bus.NewServer(k.Poller, m, bus.Options{UID: c.Engine.UID, ChrootSessions: c.Engine.ChrootSessions,
		Logf: m.warn, Now: func() time.Duration { return k.Clock().Mono }})
	if c.Watch {
		m.watcher = watch.New(k.Poller.Wake, m.warn)
	} else {
		m.watcher = watch.None(m.warn)
	}
	return m, nil
}

// Run drives the engine until it wants to end or to be replaced, and returns
// that effect.
func (m *Manager) Run() engine.Effect {
	if m.c.Address != "" {
		if err := m.listen(); err != nil {
			m.warn("Unable to listen for private connections: %s", err)
		}
	}
	if m.c.State != nil {
		m.inherit()
		m.c.State = nil
	}
	m.loop.Push(m.load())
	for _, what := range m.c.Told {
		m.loop.Push(engine.Told{What: what})
	}
	m.c.Told = nil
	m.firstBus()
	return m.loop.Run()
}

// restore makes the engine of what the image before left.
func (m *Manager) restore() error {
	if err := json.Unmarshal(m.c.State, &m.left); err != nil {
		return err
	}
	s, err := snapshot.Decode(m.left.State)
	if err != nil {
		return err
	}
	m.engine = engine.Restore(s)
	return nil
}

// listen serves the private socket: that of the image before if there is one,
// so that nobody finds init gone.
func (m *Manager) listen() error {
	if m.listener >= 0 {
		return nil // a re-exec that failed
	}
	fd := m.left.Listener
	if fd < 0 {
		var err error
		if fd, err = bus.OpenSocket(m.c.Address); err != nil {
			return err
		}
	}
	unix.CloseOnExec(fd)
	m.listener = fd
	return m.bus.Serve(fd)
}

func (m *Manager) dump() string {
	text, err := snapshot.WriteState(m.engine.State())
	if err != nil {
		m.c.Log(engine.Error, "cannot write the state: "+err.Error())
	}
	return string(text)
}

// Now implements loop.Platform.
func (m *Manager) Now() cause.Clock { return m.k.Clock() }

// Wait implements loop.Platform.
func (m *Manager) Wait(deadline time.Duration, ok bool) []engine.Msg {
	if err := m.k.Poller.Wait(m.timeout(deadline, ok)); err != nil {
		m.c.Log(engine.Error, "cannot wait: "+err.Error())
	}
	if len(m.inbox) > 0 {
		m.watcher.Sync() // who installs a job and starts it finds it
	}
	m.inbox = append(m.watcher.Changes(), m.inbox...)
	m.c.Signals.take(m.happened)
	m.k.Processes.Collect(m.happened)
	m.bus.Tick(m.k.Clock().Mono)
	m.logs.Collect()
	msgs := m.inbox
	m.inbox = nil
	return msgs
}

// timeout is how long to wait at most: until the engine, the bus or the logs
// want to go on.
func (m *Manager) timeout(deadline time.Duration, ok bool) time.Duration {
	now := m.k.Clock().Mono
	if at, has := m.bus.Deadline(); has && (!ok || at < deadline) {
		deadline, ok = at, true
	}
	if in, has := m.logs.Deadline(); has && (!ok || now+in < deadline) {
		deadline, ok = now+in, true
	}
	if !ok {
		return -1
	}
	return max(0, deadline-now)
}

func (m *Manager) happened(msg engine.Msg) { m.inbox = append(m.inbox, msg) }

// Call implements bus.Handler.
func (m *Manager) Call(who control.Caller, call control.Call) {
	m.happened(engine.Called{Caller: who, Call: call})
}

// Hangup implements bus.Handler.
func (m *Manager) Hangup(conn uint64) { m.happened(engine.Hungup{Conn: conn}) }
