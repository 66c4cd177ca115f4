package manager

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/loop"
	"onset/core/snapshot"
	"onset/platform/keeper"
)

// snapshotAfter is how many bytes the input log takes at least before a
// snapshot replaces it; it also takes as many as a snapshot, so that those
// never cost more than the log.
const snapshotAfter = 256 << 10

// maxUnflushed is how many turns with more to come at once may pass before the
// signals of all of them are written.
const maxUnflushed = 16

// firstFile is above the descriptors that a manager opens itself. Those that
// came with events keep their number in the next manager: the engine knows
// them by it.
const firstFile = 768

// kept is what outlives this manager, at its keeper (ARCHITECTURE, "Recovery is
// replay"). A nil *kept is that of an init without keeper.
type kept struct {
	*keeper.Client
	log    *snapshot.Log
	owed   []engine.Effect // whose Done is not in the log
	size   int             // of the last snapshot
	heard  uint64          // event after the last one in the inbox
	taken  uint64          // event after the last one acknowledged
	called bool            // the keeper has something to tell
	full   bool            // it was said that there is no room for a snapshot

	// What the manager before left; empty after the first turn.
	left   loop.Backlog
	conns  uint64           // number of its last connection that matters
	faults []snapshot.Fault // in its log
	ended  []int            // processes whose end is in its log
	dead   []keeper.Event
}

// names in the keeper's store
const (
	socketName = "socket"
	logName    = "log "  // token, path
	fileName   = "file " // number; all other names are the bus's
)

func ownName(name string) bool {
	return name == socketName || name == crashName || strings.HasPrefix(name, logName) || strings.HasPrefix(name, fileName) ||
		strings.HasPrefix(name, signName) || strings.HasPrefix(name, notifyName)
}

// logged is the name of a pty in the keeper's store.
func logged(token uint64, path string) string {
	return logName + strconv.FormatUint(token, 10) + " " + path
}

// store has the keeper hold a descriptor. What it has no room for is lost
// only if this manager dies.
func (k *kept) store(name string, fd int) {
	if k != nil {
		k.Store(name, fd)
	}
}

func (k *kept) drop(name string) {
	if k != nil {
		k.Drop(name)
	}
}

// begin starts the log with a first snapshot.
func (m *Manager) begin() {
	if m.kept == nil {
		return
	}
	if m.kept.log == nil {
		m.kept.log = snapshot.NewLog(m.kept.Memory.Log)
		m.snapshot()
	}
	m.catchCrash()
	m.loop.Journal = m.kept.log
	m.kept.Recovered()
}

// snapshot replaces the log by the state there is; nothing may wait to be
// stepped.
func (m *Manager) snapshot() {
	k := m.kept
	size, err := k.Memory.Save(k.log, func(to []byte) []byte { return snapshot.Append(to, m.engine.State(), k.owed...) })
	if err != nil && !k.full {
		m.c.Log(engine.Error, "Cannot keep the state for the case of a crash: "+err.Error())
	}
	k.full, k.size = err != nil, size
}

// takenIn is called when all that Wait returned is in the log.
func (m *Manager) takenIn() {
	if m.unflushed++; !m.more || m.unflushed >= maxUnflushed {
		m.bus.Flush()
		m.unflushed = 0
	}
	m.bus.Taken()
	m.notifyTaken()
	m.signsTaken()
	k := m.kept
	if k == nil {
		return
	}
	k.acknowledge()
	k.Alive()
	for _, e := range k.dead { // now that it is known which of them were started
		m.told(e)
	}
	k.dead, k.ended = nil, nil
	if used := len(k.log.Bytes()) - k.log.Remaining(); k.log.Full() || used > max(snapshotAfter, k.size) {
		m.snapshot()
	}
}

// acknowledge tells the keeper which events need not come again.
func (k *kept) acknowledge() {
	if k != nil && k.heard != k.taken {
		k.Ack(k.heard - 1)
		k.taken = k.heard
	}
}

// owes notes an effect whose result comes later.
func (k *kept) owes(e engine.Effect) {
	if k != nil && loop.HasResult(e) {
		k.owed = append(k.owed, e)
	}
}

// paid forgets the effect that a message is the result of.
func (k *kept) paid(msgs []engine.Msg) {
	if k == nil || len(k.owed) == 0 {
		return
	}
	for _, msg := range msgs {
		if i := slices.IndexFunc(k.owed, func(e engine.Effect) bool { return loop.Answers(e, msg) }); i >= 0 {
			k.owed = slices.Delete(k.owed, i, i+1)
		}
	}
}

// hear passes on what the keeper tells: signals, and the deaths of processes
// that an earlier manager started.
func (m *Manager) hear() {
	if !m.kept.called {
		return
	}
	m.kept.called = false
	if err := m.kept.Receive(m.told); err != nil {
		m.lostKeeper(err)
	}
}

func (m *Manager) lostKeeper(err error) {
	m.c.Log(engine.Fatal, "Lost the keeper: "+err.Error())
	syscall.Exit(1)
}

func (m *Manager) told(e keeper.Event) {
	m.kept.heard = e.Seq + 1
	if e.Signal == 0 {
		m.k.Processes.Reaped(e.PID, e.Code, e.Status, m.happened)
	} else {
		m.signal(e.Signal)
	}
}

// takeFile makes a descriptor that came with a call one that keeps its number
// in the next manager.
func (m *Manager) takeFile(fd int) int {
	if high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstFile); err == nil {
		unix.Close(fd)
		fd = high
	}
	m.files[fd] = true
	m.kept.store(fileName+strconv.Itoa(fd), fd)
	return fd
}

// dropFile closes a descriptor that came with a call, if that is still open.
func (m *Manager) dropFile(fd int) {
	if m.files[fd] {
		delete(m.files, fd)
		m.kept.drop(fileName + strconv.Itoa(fd))
		unix.Close(fd)
	}
}

func closeFile(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
