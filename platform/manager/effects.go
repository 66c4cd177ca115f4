package manager

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/bus"
	"onset/platform/watch"
)

// Do implements loop.Platform.
func (m *Manager) Do(effect engine.Effect) []engine.Msg {
	switch e := effect.(type) {
	case engine.Log:
		m.say(e.Priority, e.Text)
	case engine.Spawn:
		return m.spawn(e)
	case engine.Kill:
		m.kill(e)
	case engine.Detach:
		m.k.Processes.Detach(e.PID)
	case engine.Supervise:
		m.k.Processes.Supervise(e.Token, e.PID)
	case engine.AwaitName:
		m.awaitName(e)
	case engine.Release:
		m.logs.Release(e.Token)
		m.releaseSign(e.Token)
		m.releaseNotify(e.Token)
		m.bus.ForgetName(e.Token)
		if e.PID != 0 {
			m.logouts = append(m.logouts, logout{e.PID, time.Now()})
		}
	case engine.Respond:
		m.bus.Respond(e.Call, e.Conn, e.Reply)
	case engine.Inspect:
		m.inspect(e)
	case engine.Publish:
		m.bus.Publish(e.Signal)
	case engine.CloseFile:
		m.dropFile(e.File)
	case engine.LoadConfig:
		return []engine.Msg{m.load(e.Sessions...)}
	case engine.LoadSource:
		return []engine.Msg{engine.SourceLoaded{Source: m.watcher.Add(sessionSource(e.Session))}}
	case engine.ConnectBus:
		m.kept.owes(e)
		m.connectBus(e)
	case engine.UpdateActivation:
		m.bus.UpdateActivation(e.Env)
	case engine.FlushLogs:
		m.kept.owes(e)
		m.logs.Flush(func(err error) { m.done(e.Call, err) })
	}
	return nil
}

// Redo implements loop.Platform.
func (m *Manager) Redo(effect engine.Effect) []engine.Msg {
	switch e := effect.(type) {
	case engine.Spawn:
		if msgs := m.find(e); msgs != nil {
			return msgs
		}
	case engine.Publish:
		return nil
	}
	return m.Do(effect)
}

// find looks for the process of a spawn that may have been carried out.
func (m *Manager) find(e engine.Spawn) []engine.Msg {
	if spec, err := m.withNotifySocket(e.Token, e.Spec); err == nil {
		e.Spec = spec
	}
	found := m.k.Processes.Find(e.Token, e.Spec, m.knows)
	if found.PID == 0 && found.Started {
		found.PID = m.stranger()
		m.k.Processes.Adopt(e.Token, found.PID, e.Spec.Expect.Kind, true)
	}
	if found.PID == 0 {
		return nil
	}
	return []engine.Msg{engine.Spawned{Token: e.Token, PID: found.PID}}
}

// done tells the result of an effect that answers a call.
func (m *Manager) done(call uint64, err error) {
	if call == 0 {
		return
	}
	d := engine.Done{Call: call}
	if err != nil {
		d.Error = err.Error()
	}
	m.happened(d)
}

// spawn starts a process. What keeps it from being started for want of
// resources is told as temporary.
func (m *Manager) spawn(e engine.Spawn) []engine.Msg {
	spec, err := m.withNotifySocket(e.Token, e.Spec)
	if err != nil {
		return failed(e.Token, err.Error(), !errors.Is(err, errNoWay))
	}
	io := platform.Streams{Log: -1, Files: spec.Files}
	if spec.Attrs.Console == job.ConsoleLog {
		io.Log, err = m.logs.Open(e.Token, spec.LogPath)
		if slices.ContainsFunc(shortages, func(e error) bool { return errors.Is(err, e) }) {
			return failed(e.Token, fmt.Sprintf("unable to open pty: %s", err), true)
		} else if err != nil {
			m.withoutLogs(err)
		}
	}
	if io.Sign, err = m.openSign(e.Token, spec); err != nil {
		m.logs.Failed(e.Token)
		return failed(e.Token, fmt.Sprintf("unable to hear whether it is ready: %s", err), true)
	}
	started, err := m.k.Processes.Spawn(e.Token, spec, io)
	if io.Sign != 0 {
		unix.Close(io.Sign)
	}
	if err != nil {
		m.logs.Failed(e.Token)
		m.releaseSign(e.Token)
		var spawnErr *platform.SpawnError
		temporary := errors.As(err, &spawnErr) && spawnErr.Temporary
		return failed(e.Token, err.Error(), temporary)
	}
	m.logs.Spawned(e.Token)
	m.countPaths()
	msgs := []engine.Msg{engine.Spawned{Token: e.Token, PID: started.PID}}
	if started.Executed {
		msgs = append(msgs, engine.Executed{PID: started.PID})
	}
	if spec.Slot == job.Main && spec.Expect.Kind == job.ExpectListen && io.Sign == 0 {
		m.remark(spec.Job, "is ready when executed, as init cannot hear of listen on this kernel")
		msgs = append(msgs, engine.Ready{Token: e.Token})
	}
	return msgs
}

// shortages of ptys may pass.
var shortages = []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ENOSPC}

// withoutLogs says once why jobs run without logs (UPSTART §4.2 step 4).
func (m *Manager) withoutLogs(why error) {
	text := fmt.Sprintf("Failed to create pty - disabling logging for jobs: %s", why)
	if !m.remarks[text] {
		m.remarks[text] = true
		m.sayf(engine.Error, "%s", []any{text})
	}
}

// awaitName waits for the owner of a name on the message bus.
func (m *Manager) awaitName(e engine.AwaitName) {
	if !m.bus.Joined() {
		m.Remark(e.Token, "waits for a message bus, where "+e.Name+" is to appear")
	}
	m.bus.AwaitName(e.Token, e.Name, func() { m.happened(engine.Ready{Token: e.Token}) })
}

// countPaths tells who debugs how processes were started so far.
func (m *Manager) countPaths() {
	if m.engine.LogPriority() == engine.Debug {
		fast, staged := m.k.Processes.Counts()
		m.debug("Processes started: %d by the fast path, %d by the exec stage", fast, staged)
	}
}

func failed(token uint64, reason string, temporary bool) []engine.Msg {
	return []engine.Msg{engine.SpawnFailed{Token: token, Reason: reason, Temporary: temporary}}
}

func (m *Manager) kill(e engine.Kill) {
	if m.kept.diedAlready(e.PID) {
		return
	}
	if err := m.k.Processes.Kill(e.Token, e.PID, e.Signal, e.Scope); err != nil {
		m.warn("Failed to send signal %d to process %d: %s", e.Signal, e.PID, err)
	}
}

// connectBus connects to a message bus because somebody asked for it.
func (m *Manager) connectBus(e engine.ConnectBus) {
	if m.c.NoBus {
		m.done(e.Call, nil)
		return
	}
	m.joinBus(e.Address, func(err error) {
		if err != nil {
			m.warn("Unable to connect to the D-Bus %s bus: %s", m.busKind(), err)
		}
		m.done(e.Call, err)
	})
}

// firstBus tries the message bus once at start-up; that there is none yet is
// no news. A session init never tries that of the system (DECISIONS 16).
func (m *Manager) firstBus() {
	address := m.engine.State().BusAddress
	if address == "" && m.c.Engine.Mode != engine.System {
		address, _ = m.c.Engine.Env.Lookup("DBUS_SESSION_BUS_ADDRESS")
	}
	if m.c.NoBus || (address == "" && m.c.Engine.Mode != engine.System) {
		m.inform("Not connecting to %s bus", m.busKind())
		return
	}
	m.joinBus(address, func(error) {})
}

func (m *Manager) joinBus(address string, done func(error)) {
	m.bus.ConnectBus(bus.Bus{Address: address, Label: "D-Bus " + m.busKind() + " bus", Name: "com.ubuntu.Upstart",
		Done: done, Lost: func() {}})
}

func (m *Manager) busKind() string {
	if m.c.Engine.Mode == engine.System {
		return "system"
	}
	return "session"
}

// load reads the configuration of the host and of chroot sessions.
func (m *Manager) load(sessions ...string) engine.Loaded {
	var all []engine.Source
	for _, s := range m.c.Sources {
		all = append(all, m.watcher.Add(s))
	}
	for _, root := range sessions {
		all = append(all, m.watcher.Add(sessionSource(root)))
	}
	return engine.Loaded{Sources: all}
}

func sessionSource(root string) watch.Source {
	return watch.Source{Path: root + "/etc/init", Session: root}
}

func (m *Manager) warn(format string, args ...any) { m.sayf(engine.Warn, format, args) }

func (m *Manager) inform(format string, args ...any) { m.sayf(engine.Info, format, args) }

func (m *Manager) debug(format string, args ...any) { m.sayf(engine.Debug, format, args) }

// sayf is say for what is not filtered by the engine.
func (m *Manager) sayf(p engine.Priority, format string, args []any) {
	wanted := m.c.Engine.LogPriority
	if m.engine != nil {
		wanted = m.engine.LogPriority()
	}
	if p >= wanted {
		m.say(p, fmt.Sprintf(format, args...))
	}
}
