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
)

// Bounds of what comes over sockets of sd_notify.
const (
	maxNotice  = 16 << 10 // bytes of a message
	maxRights  = 253      // descriptors with it, which is the kernel's bound
	maxSockets = 8        // bound at a time; the latest stay
)

// notifySocket is a socket of sd_notify(3). A message is only peeked at, one a
// turn, and taken by the next, when the journal has it: the keeper has the socket.
type notifySocket struct {
	FD       int
	Address  string // path, or @NAME
	Dev, Ino uint64 // of the path

	peeked bool
}

// notifyName begins the names of notifySockets in the keeper's store, before
// device, inode and address.
const notifyName = "notify "

func (s *notifySocket) name() string {
	return fmt.Sprintf("%s%d %d %s", notifyName, s.Dev, s.Ino, s.Address)
}

// storedNotifySocket is the socket of a name in the keeper's store.
func storedNotifySocket(name string, fd int) (*notifySocket, bool) {
	rest, ok := strings.CutPrefix(name, notifyName)
	if !ok {
		return nil, false
	}
	parts := strings.SplitN(rest, " ", 3)
	if len(parts) != 3 {
		return nil, false
	}
	dev, err := strconv.ParseUint(parts[0], 10, 64)
	ino, failed := strconv.ParseUint(parts[1], 10, 64)
	return &notifySocket{FD: fd, Address: parts[2], Dev: dev, Ino: ino}, err == nil && failed == nil
}

// NotifyAddress is where an init has its socket of sd_notify, for
// engine.Options.
func NotifyAddress(mode engine.Mode, own env.Table, pid int) string {
	if mode == engine.System {
		return "/run/onset/notify"
	}
	base, _ := own.Lookup("XDG_RUNTIME_DIR")
	path := filepath.Join(base, "onset", "notify-"+strconv.Itoa(pid))
	if !filepath.IsAbs(base) || len(path) >= len(unix.RawSockaddrUnix{}.Path) {
		return "@onset/notify/" + strconv.Itoa(pid)
	}
	return path
}

// withNotifySocket sees to it that there is the socket that a spec names, and
// returns the spec with the address by which its process gets at it: a process with a
// root directory of its own only at an abstract one, which is also what
// there is while no directory can be written to.
func (m *Manager) withNotifySocket(s *job.Spec) (*job.Spec, error) {
	const key = "NOTIFY_SOCKET"
	address, _ := s.Env.Lookup(key)
	if address == "" || address != m.address {
		return s, nil
	}
	err := error(nil)
	if address[0] == '@' || s.Root == "" && s.Attrs.Chroot == "" {
		err = m.bindNotify(address)
	}
	if address[0] != '@' && (s.Root != "" || s.Attrs.Chroot != "" || err != nil) {
		address = "@" + strings.TrimPrefix(address, "/")
		if err = m.bindNotify(address); err == nil {
			changed := *s
			changed.Env = s.Env.Clone().Set(key+"="+address, true)
			s = &changed
		}
	}
	if err != nil {
		return nil, fmt.Errorf("unable to set up the notify socket: %w", err)
	}
	return s, nil
}

// bindNotify binds a socket unless there is one at the address.
func (m *Manager) bindNotify(address string) error {
	if slices.ContainsFunc(m.notify, func(s *notifySocket) bool { return s.Address == address && s.reachable() }) {
		return nil
	}
	s := &notifySocket{Address: address}
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
	if len(m.notify) > maxSockets {
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
		if s.Address[0] != '@' && s.reachable() {
			os.Remove(s.Address)
		}
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
	oob := make([]byte, unix.CmsgSpace(4*maxRights)+64)
	n, oobn, flags, _, err := unix.Recvmsg(s.FD, m.notice, oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return // somebody interrupted it
	}
	s.peeked = true
	sender, files := takeRights(oob[:max(oobn, 0)])
	if flags&unix.MSG_CTRUNC != 0 {
		m.complain("Descriptors that process %d sent to the notify socket are lost: there is no room for so many", sender)
	}
	lines, err := noticeLines(m.notice[:max(n, 0)], flags)
	if err != nil {
		m.complain("Message of process %d to the notify socket left out: %s", sender, err)
	}
	if token := m.k.Processes.TokenOf(sender); err == nil && token != 0 {
		m.tellNotice(engine.Notified{Token: token, PID: sender, Lines: lines}, files)
		return
	}
	for _, fd := range files {
		unix.Close(fd)
	}
	if err == nil {
		m.complain("Message of process %d to the notify socket left out: it is of no job", sender)
	}
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
	errNotice = fmt.Errorf("it is longer than %d bytes", maxNotice)
	errBinary = errors.New("it is no text")
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
// kept; one that the job has stored already is told by the number it has, since
// a message may come again after a crash.
func (m *Manager) tellNotice(n engine.Notified, files []int) {
	stores := slices.Contains(n.Lines, "FDSTORE=1")
	var stored []job.StoredFile
	if stores {
		processes(m.engine.State(), func(_ *engine.Class, j *engine.Instance, slot job.Slot) {
			if j.Procs[slot].Token == n.Token {
				stored = j.Stored
			}
		})
	}
	for _, fd := range files {
		known := slices.IndexFunc(stored, func(f job.StoredFile) bool { return sameFile(fd, f.File) })
		switch {
		case stores && known >= 0:
			n.Files = append(n.Files, stored[known].File)
			unix.Close(fd)
		case stores:
			n.Files = append(n.Files, m.takeFile(fd))
		default:
			unix.Close(fd)
		}
	}
	n.Lines = slices.DeleteFunc(n.Lines, func(line string) bool { return !m.ownMain(n.Token, line) })
	m.happened(n)
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
	}
}
