// Package manager puts the parts of a platform together under the loop: it
// carries out the engine's effects on a kernel and turns what happens there
// into inputs.
//
// Everything runs on one goroutine, which its caller has locked to a thread:
// tracing and waiting belong to a thread. Other goroutines (signals, file notification,
// the writer of job output) only leave something to fetch and wake the poller.
//
// Order of inputs within one wait (UPSTART §8.3): files, calls and what jobs say
// of themselves, then signals, then processes, with the execution of a process before its end.
package manager

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"syscall"
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
	"onset/platform/keeper"
	"onset/platform/utmp"
	"onset/platform/watch"
)

// Kernel is the back end a manager runs on.
type Kernel struct {
	Poller    platform.Poller
	Processes platform.Processes
	Clock     func() cause.Clock
	// NewListens makes what hears of listen, with memory of ListenMemory bytes
	// that outlives the manager. It is nil on a kernel without.
	NewListens   func(platform.Poller, []byte, platform.ListenHandler) platform.Listens
	ListenMemory int
	// Remember gives the back end memory of GroupMemory bytes that outlives the
	// manager, before all else. It is nil where the kernel tells by itself
	// which processes come from which spawn.
	Remember    func([]byte)
	GroupMemory int
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
	Keeper  *keeper.Client // nil without
	// Told is what init learned before it could be told.
	Told []engine.Request
	// State is what an earlier image left for this one; nil at a first start.
	State []byte
	// StateFile is where to write the state taken over from it, as JSON, or
	// the bytes that cannot be understood; empty: nowhere.
	StateFile string
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
	listens platform.Listens // nil without

	kept    *kept // nil without keeper
	meaning map[syscall.Signal]engine.Request
	files   map[int]bool // that came with events, or to be stored
	signs   map[uint64]*sign
	over    []*sign         // to be closed
	address string          // of the sd_notify socket, as the engine knows it
	notify  []*notifySocket // in the order they were bound
	notice  []byte          // for reading from them
	remarks map[string]bool // made already
	logouts []logout        // not written yet
	inbox   []engine.Msg
	said    []engine.Log // and not logged yet

	listener   int    // private socket; -1 without
	left       legacy // by the image before
	bequeathed []int  // descriptors that survive an exec
	more       bool   // Collect may have more at once
	unflushed  int    // turns since signals were written
	revived    bool   // the manager before died
	started    bool   // Run was called
}

// New makes a manager; it acts on nothing before Run.
func New(k Kernel, c Config) (*Manager, error) {
	m := &Manager{c: c, k: k, listener: -1, left: legacy{Listener: -1}, files: map[int]bool{},
		signs: map[uint64]*sign{}, remarks: map[string]bool{}, said: make([]engine.Log, 0, 256)}
	if c.Keeper != nil {
		m.kept = &kept{Client: c.Keeper}
	}
	output := m.outputMemory()
	m.remember()
	if k.NewListens != nil {
		m.listens = k.NewListens(k.Poller, m.listenMemory(), m)
	}
	m.newEngine()
	m.address = m.engine.State().Options.NotifySocket
	m.loop = loop.Loop{Engine: m.engine, Platform: m, Dump: m.dump}
	m.meaning = requests(c.Engine)
	if c.NoBus && m.meaning[syscall.SIGUSR1] == engine.ReconnectBus {
		delete(m.meaning, syscall.SIGUSR1)
	}
	c.Signals.start(k.Poller.Wake)
	m.logs = joblog.New(k.Poller, c.OpenPTY, output, m.warn)
	m.logs.Opened = func(token uint64, path string, master int) { m.kept.store(logged(token, path), master) }
	m.logs.Closed = func(token uint64, path string) { m.kept.drop(logged(token, path)) }
	o := bus.Options{UID: c.Engine.UID, ChrootSessions: c.Engine.ChrootSessions,
		Logf: m.warn, Infof: m.inform, Debugf: m.debug, Now: func() time.Duration { return k.Clock().Mono }, Moved: m.listening}
	if m.kept != nil {
		o.Keep = m.kept.Client
		o.LastConn = max(m.kept.conns, slices.Max(append(connections(m.engine.State()), 0)))
	}
	m.bus = bus.NewServer(k.Poller, m, o)
	if c.Watch {
		m.watcher = watch.New(k.Poller.Wake, m.warn)
	} else {
		m.watcher = watch.None(m.warn)
	}
	if m.kept == nil {
		return m, nil
	}
	return m, k.Poller.Add(m.kept.FD(), platform.Readable, func(platform.Ready) { m.kept.called = true })
}

// newEngine makes the engine: of what the image before left, or a manager
// that died, or from nothing.
func (m *Manager) newEngine() {
	if m.c.State != nil {
		if err := m.restore(); err == nil {
			return
		}
		m.c.Log(engine.Error, "Failed to read serialisation data - reverting to stateless re-exec")
		m.keepFile(filepath.Join(m.c.Engine.LogDir, "upstart.state"), m.c.State)
		m.c.State, m.left = nil, legacy{Listener: -1}
	}
	if m.kept != nil && m.recover() {
		m.revived = true
		return
	}
	m.engine = engine.New(m.c.Engine)
}

// Run drives the engine until it wants to end or to be replaced, and returns
// that effect.
func (m *Manager) Run() engine.Effect {
	if m.c.Address != "" {
		if err := m.listen(); err != nil {
			m.warn("Unable to listen for private connections: %s", err)
		}
	}
	m.start()
	defer m.spill()
	defer m.bus.Taken()
	defer m.bus.Flush()
	end := m.loop.Run()
	if _, ok := end.(engine.Exit); ok {
		m.removeNotify()
	}
	return end
}

// logout is the end of a process that may have had a session of utmp(5).
type logout struct {
	pid int
	at  time.Time
}

// say logs a message when the effects of this turn are carried out: the
// kernel's log takes longer than a spawn.
func (m *Manager) say(p engine.Priority, text string) {
	if m.said = append(m.said, engine.Log{Priority: p, Text: text}); len(m.said) == cap(m.said) {
		m.spill()
	}
}

func (m *Manager) spill() {
	for _, l := range m.logouts { // an error is nobody's business: most machines have no such file
		utmp.EndSession(utmp.File, utmp.LogFile, l.pid, l.at)
	}
	m.logouts = m.logouts[:0]
	for _, l := range m.said {
		m.c.Log(l.Priority, l.Text)
	}
	clear(m.said)
	m.said = m.said[:0]
}

// start brings about the first inputs, once.
func (m *Manager) start() {
	if m.started {
		return
	}
	m.started = true
	m.introduce()
	m.begin()
	if m.revived || m.c.State != nil {
		m.inherit()
	}
	if m.revived {
		m.resume()
	}
	m.loop.Push(m.inbox...)
	m.inbox, m.c.State = nil, nil
	if m.revived {
		m.reread()
	} else {
		m.loop.Push(m.load())
	}
	for _, what := range m.c.Told {
		m.loop.Push(engine.Told{What: what})
	}
	m.firstBus()
}

// introduce tells who debugs what this init goes by.
func (m *Manager) introduce() {
	o := &m.engine.State().Options
	parent := os.Getppid()
	if o.PID == 1 {
		parent = 0 // that of the keeper
	}
	m.debug("Running with UID %d as PID %d (PPID %d)", o.UID, o.PID, parent)
	for _, s := range m.c.Sources {
		if s.Kind != engine.InitConf {
			m.debug("Using configuration directory %s", s.Path)
		}
	}
	if o.NoLog {
		m.debug("Job logging disabled")
	}
	if o.StartupEvent == "" {
		m.debug("Startup event disabled")
	}
}

// restore makes the engine of what the image before left; that of an Upstart
// left the JSON of UPSTART Appendix A.
func (m *Manager) restore() error {
	if err := json.Unmarshal(m.c.State, &m.left); err != nil {
		return err
	}
	var s *engine.State
	var warnings []string
	var err error
	if m.left.State != nil {
		s, err = snapshot.Decode(m.left.State)
	} else {
		m.left.Listener = -1
		s, warnings, err = snapshot.ReadState(m.c.State, m.c.Engine)
	}
	if err != nil {
		return err
	}
	if s.Options.NotifySocket == "" { // it was another version
		s.Options.NotifySocket = m.c.Engine.NotifySocket
	}
	m.engine = engine.Restore(s)
	for _, w := range warnings {
		m.warn("%s", w)
	}
	if m.c.StateFile != "" {
		m.keepFile(m.c.StateFile, []byte(m.dump()))
	}
	if m.kept != nil {
		m.sortCopies()
	}
	return nil
}

// keepFile writes something for people to look at.
func (m *Manager) keepFile(path string, data []byte) {
	os.Remove(path)
	if err := os.WriteFile(path, data, 0o400); err != nil {
		m.warn("%s", err)
	}
}

// sortCopies closes those descriptors of the keeper's store that this image
// inherited.
func (m *Manager) sortCopies() {
	for _, s := range m.kept.Stored {
		if ownName(s.Name) {
			closeFile(s.FD)
		} else {
			m.left.stored = append(m.left.stored, s)
		}
	}
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
	m.listening(fd)
	return m.bus.Serve(fd, m.c.Address)
}

// listening notes which socket is the private one.
func (m *Manager) listening(fd int) {
	m.listener = fd
	m.kept.store(socketName, fd)
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
	m.takenIn()
	m.spill()
	if err := m.k.Poller.Wait(m.timeout(deadline, ok)); err != nil {
		m.c.Log(engine.Error, "cannot wait: "+err.Error())
	}
	if len(m.inbox) > 0 {
		m.watcher.Sync() // who installs a job and starts it finds it
	}
	m.inbox = append(m.watcher.Changes(), m.inbox...)
	m.signalled()
	m.more = m.k.Processes.Collect(m.happened)
	m.bus.Tick(m.k.Clock().Mono)
	m.logs.Collect()
	msgs := m.inbox
	m.inbox = nil
	m.kept.paid(msgs)
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
	switch {
	case m.more || len(m.inbox) > 0:
		return 0
	case !ok:
		return -1
	}
	return max(0, deadline-now)
}

func (m *Manager) happened(msg engine.Msg) { m.inbox = append(m.inbox, msg) }

// Call implements bus.Handler.
func (m *Manager) Call(who control.Caller, call control.Call) {
	if call.File != 0 {
		call.File = m.takeFile(call.File)
	}
	m.happened(engine.Called{Caller: who, Call: call})
}

// Hangup implements bus.Handler.
func (m *Manager) Hangup(conn uint64) { m.happened(engine.Hungup{Conn: conn}) }
