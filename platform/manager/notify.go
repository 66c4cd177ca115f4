package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform"
	"onset/platform/bus"
	"onset/platform/posix"
)

// Bounds of what comes over sockets of sd_notify.
const (
	maxNotice  = 16 << 10 // bytes of a message
	maxRights  = 253      // descriptors with it, which is the kernel's bound
	maxSockets = 8        // for all jobs that are bound at a time; the latest stay
)

// notifySocket is a socket of sd_notify(3): one for all jobs where the kernel
// tells which process sent a message, else one a spawn. A message is only peeked at,
// one a turn, and taken by the next, when the journal has it: the keeper has the
// socket. Where the kernel gives no descriptors to who peeks, a message with
// descriptors is taken at once, and lost if the manager is killed just then.
type notifySocket struct {
	FD       int
	Token    uint64 // whose it is; 0: everybody's
	Address  string // path, or @NAME
	Dev, Ino uint64 // of the path

	peeked bool
	unused []int // descriptors to be closed when the journal has their message
}

// sender is who sent a message; -1 is unknown.
type sender struct{ pid, uid int }

func (s sender) String() string {
	if s.pid <= 0 {
		return "a process of uid " + strconv.Itoa(s.uid)
	}
	return "process " + strconv.Itoa(s.pid)
}

// notifyName begins the names of notifySockets in the keeper's store, before
// token, device, inode and address.
const notifyName = "notify "

func (s *notifySocket) name() string {
	return fmt.Sprintf("%s%d %d %d %s", notifyName, s.Token, s.Dev, s.Ino, s.Address)
}

// storedNotifySocket is the socket of a name in the keeper's store.
func storedNotifySocket(name string, fd int) (*notifySocket, bool) {
	rest, ok := strings.CutPrefix(name, notifyName)
	if !ok {
		return nil, false
	}
	parts := strings.SplitN(rest, " ", 4)
	if len(parts) != 4 {
		return nil, false
	}
	var n [3]uint64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(parts[i], 10, 64); err != nil {
			return nil, false
		}
	}
	return &notifySocket{FD: fd, Token: n[0], Dev: n[1], Ino: n[2], Address: parts[3]}, true
}

// NotifyAddress is where an init has its socket of sd_notify, for
// engine.Options.
func NotifyAddress(mode engine.Mode, own env.Table, pid int) string {
	if mode == engine.System {
		return systemNotify
	}
	base, _ := own.Lookup("XDG_RUNTIME_DIR")
	path := filepath.Join(base, "onset", "notify-"+strconv.Itoa(pid))
	if !filepath.IsAbs(base) || len(path)+notifySuffix >= len(unix.RawSockaddrUnix{}.Path) {
		return otherNotify + strconv.Itoa(pid)
	}
	return path
}

// withNotifySocket sees to it that there is the socket that a spec names, and
// returns the spec with the address by which its process gets at it.
func (m *Manager) withNotifySocket(token uint64, s *job.Spec) (*job.Spec, error) {
	const key = "NOTIFY_SOCKET"
	if address, _ := s.Env.Lookup(key); address == "" || address != m.address {
		return s, nil
	}
	address, err := m.notifySocketOf(token, s)
	if err != nil {
		return nil, fmt.Errorf("unable to set up the notify socket: %w", err)
	}
	if address != m.address {
		changed := *s
		changed.Env = s.Env.Clone().Set(key+"="+address, true)
		s = &changed
	}
	return s, nil
}

// bindNotify binds a socket for a spawn, or 0 for all, unless there is one at
// the address.
func (m *Manager) bindNotify(address string, token uint64) error {
	if slices.ContainsFunc(m.notify, func(s *notifySocket) bool { return s.Address == address && s.reachable() }) {
		return nil
	}
	s := &notifySocket{Address: address, Token: token}
	var err error
	if s.FD, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if err = passCredentials(s.FD); err == nil {
		err = s.bind()
	}
	if err == nil {
		err = m.hearNotify(s)
	}
	if err != nil {
		unix.Close(s.FD)
		return err
	}
	m.kept.store(s.name(), s.FD)
	if token == 0 && len(m.notify) > maxSockets {
		m.closeNotify(m.notify[0])
	}
	return nil
}

// reachable reports whether the path still leads to the socket: a file system
// may have been mounted over it.
func (s *notifySocket) reachable() bool {
	var st unix.Stat_t
	return s.Address[0] == '@' || unix.Stat(s.Address, &st) == nil && uint64(st.Dev) == s.Dev && st.Ino == s.Ino
}

// bind gives the socket its address. Whoever runs in a job may send to it.
func (s *notifySocket) bind() error {
	address := &unix.SockaddrUnix{Name: s.Address}
	if s.Address[0] == '@' {
		return unix.Bind(s.FD, address)
	}
	if err := os.MkdirAll(filepath.Dir(s.Address), 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(s.Address); err == nil && info.Mode()&os.ModeSocket != 0 {
		os.Remove(s.Address) // of an init that is gone
	}
	err := unix.Bind(s.FD, address)
	if err == nil {
		err = unix.Chmod(s.Address, 0o666)
	}
	var st unix.Stat_t
	if err == nil {
		err = unix.Stat(s.Address, &st)
	}
	s.Dev, s.Ino = uint64(st.Dev), st.Ino
	return err
}

// hearNotify begins to hear of a socket, which becomes the manager's.
func (m *Manager) hearNotify(s *notifySocket) error {
	if err := m.k.Poller.Add(s.FD, platform.Readable, func(platform.Ready) { m.notified(s) }); err != nil {
		return err
	}
	m.notify = append(m.notify, s)
	return nil
}

func (m *Manager) closeNotify(s *notifySocket) {
	m.notify = slices.DeleteFunc(m.notify, func(other *notifySocket) bool { return other == s })
	m.kept.drop(s.name())
	m.k.Poller.Remove(s.FD)
	unix.Close(s.FD)
	posix.CloseAll(s.unused)
	s.unused = nil
}

// releaseNotify ends what a spawn can say.
func (m *Manager) releaseNotify(token uint64) {
	for _, s := range slices.Clone(m.notify) {
		if s.Token == token && token != 0 {
			s.removeFile()
			m.closeNotify(s)
		}
	}
}

// adoptNotify hears of the sockets of an image before.
func (m *Manager) adoptNotify(sockets []*notifySocket) {
	for _, s := range sockets {
		unix.CloseOnExec(s.FD)
		err := passCredentials(s.FD)
		if err == nil {
			err = m.hearNotify(s)
		}
		if err != nil {
			m.warn("messages of jobs may be lost: %s", err)
		}
	}
}

// removeNotify removes the files of the sockets at the end of a session.
func (m *Manager) removeNotify() {
	for _, s := range m.notify {
		s.removeFile()
	}
}

func (s *notifySocket) removeFile() {
	if s.Address[0] != '@' && s.reachable() {
		os.Remove(s.Address)
	}
}

// notified looks at the next message. What is not for a job is taken too.
func (m *Manager) notified(s *notifySocket) {
	if s.peeked {
		return
	}
	if m.notice == nil {
		m.notice = make([]byte, maxNotice)
	}
	oob := make([]byte, unix.CmsgSpace(4*maxRights)+256)
	n, oobn, flags, _, err := unix.Recvmsg(s.FD, m.notice, oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	s.peeked = err == nil
	if err == nil && bus.UnreadRights(oob[:max(oobn, 0)], flags) {
		s.peeked = false
		n, oobn, flags, _, err = unix.Recvmsg(s.FD, m.notice, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return // somebody interrupted it
	}
	from, files := takeRights(oob[:max(oobn, 0)])
	if flags&unix.MSG_CTRUNC != 0 {
		m.complain("Descriptors that %s sent to the notify socket are lost: there is no room for so many", from)
	}
	lines, err := noticeLines(m.notice[:max(n, 0)], flags)
	if err == nil {
		if token := m.spawnOf(s, from); token != 0 {
			s.unused = append(s.unused, m.tellNotice(engine.Notified{Token: token, PID: max(from.pid, 0), Lines: lines}, files)...)
			return
		}
		err = errStranger
	}
	m.complain("Message of %s to the notify socket left out: %s", from, err)
	posix.CloseAll(files)
}

// complain tells once of each kind of message that is left out.
func (m *Manager) complain(format string, args ...any) {
	kind := fmt.Sprint(format, args[1:])
	if !m.remarks[kind] {
		m.remarks[kind] = true
		m.warn(format, args...)
	}
}

var (
	errNotice   = fmt.Errorf("it is longer than %d bytes", maxNotice)
	errBinary   = errors.New("it is no text")
	errStranger = errors.New("it is of no job")
	errNoWay    = errors.New("a process with a root directory of its own cannot reach it on this kernel")
)

// noticeLines takes a message apart (sd_notify(3)).
func noticeLines(b []byte, flags int) ([]string, error) {
	text := string(b)
	switch {
	case flags&unix.MSG_TRUNC != 0:
		return nil, errNotice
	case strings.IndexByte(text, 0) >= 0:
		return nil, errBinary
	}
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return !strings.Contains(line, "=") }), nil
}

// tellNotice passes a message on. Only descriptors that are to be stored are
// kept, the others are returned; one that the job has stored already is told by
// the number it has, since a message may come again after a crash.
func (m *Manager) tellNotice(n engine.Notified, files []int) (unused []int) {
	stores := slices.Contains(n.Lines, "FDSTORE=1")
	var stored []job.NamedFile
	if stores {
		processes(m.engine.State(), func(_ *engine.Class, j *engine.Instance, slot job.Slot) {
			if j.Proc(slot).Token == n.Token {
				stored = j.Stored
			}
		})
	}
	for _, fd := range files {
		known := slices.IndexFunc(stored, func(f job.NamedFile) bool { return sameFile(fd, f.File) })
		switch {
		case stores && known >= 0:
			n.Files = append(n.Files, stored[known].File)
			unused = append(unused, fd)
		case stores:
			n.Files = append(n.Files, m.takeFile(fd))
		default:
			unused = append(unused, fd)
		}
	}
	n.Lines = slices.DeleteFunc(n.Lines, func(line string) bool { return !m.ownMain(n.Token, line) })
	m.happened(n)
	return unused
}

// ownMain reports whether a line names no process as main, or one of the job.
func (m *Manager) ownMain(token uint64, line string) bool {
	text, ok := strings.CutPrefix(line, "MAINPID=")
	if !ok {
		return true
	}
	pid, err := strconv.Atoi(text)
	if err == nil && m.k.Processes.TokenOf(pid) == token {
		return true
	}
	m.complain("MAINPID=%s left out: that is no process of the job", text)
	return false
}

// notifyTaken is called when the journal has what was peeked at.
func (m *Manager) notifyTaken() {
	for _, s := range m.notify {
		if s.peeked {
			s.peeked = false
			unix.Recvfrom(s.FD, nil, unix.MSG_DONTWAIT) // closes its descriptors
		}
		posix.CloseAll(s.unused)
		s.unused = nil
	}
}
