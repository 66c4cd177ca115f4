package manager

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// Where the sockets of sd_notify are: those of a system, those of others before
// a number. The token of a spawn is added.
const (
	systemNotify = "/var/run/onset/notify"
	otherNotify  = "/tmp/onset-notify-"
	notifySuffix = len(".18446744073709551615")
)

// notifySocketOf returns the address of the socket of a spawn: by that it is
// known who sends, as this kernel may not tell.
func (m *Manager) notifySocketOf(token uint64, s *job.Spec) (address string, err error) {
	if s.Root != "" || s.Attrs.Chroot != "" {
		return "", errNoWay
	}
	address = m.address + "." + strconv.FormatUint(token, 10)
	return address, m.bindNotify(address, token)
}

// spawnOf returns the token of the spawn whose socket a message came to, or 0
// if it is not of one of its processes, nor of root. Of a process that the
// kernel does not name, or that is gone, the user is compared.
func (m *Manager) spawnOf(s *notifySocket, from sender) uint64 {
	if from.pid > 0 {
		if token := m.k.Processes.TokenOf(from.pid); token != 0 && token != s.Token {
			return 0
		}
	}
	if from.uid == 0 {
		return s.Token
	}
	for _, p := range m.k.Processes.Tree(s.Token, 0) {
		if uidOf(p.PID) == from.uid {
			return s.Token
		}
	}
	return 0
}

// uidOf returns the effective user of a process; -1 if it is gone.
func uidOf(pid int) int {
	const offset = 168 // of ki_uid in struct kinfo_proc, where int and long have 4 and 8 bytes
	b, err := unix.SysctlRaw("kern.proc.pid", pid)
	if err != nil || len(b) < offset+4 {
		return -1
	}
	return int(binary.NativeEndian.Uint32(b[offset:]))
}

// Options of local sockets and the messages they bring, as in sys/un.h and
// sys/socket.h of FreeBSD 13.
const (
	solLocal             = 0
	localCredsPersistent = 3
	scmCreds2            = 8
)

// passCredentials has the kernel tell who sent a message, and makes room for
// as many as a socket of Linux has: a sender does not wait for room.
func passCredentials(fd int) error {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 256<<10) // less will do
	if unix.SetsockoptInt(fd, solLocal, localCredsPersistent, 1) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, solLocal, unix.LOCAL_CREDS, 1)
}

// takeRights returns the sender and the descriptors of a control message.
func takeRights(oob []byte) (from sender, files []int) {
	from = sender{-1, -1}
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for i := range msgs {
		kind, data := msgs[i].Header.Type, msgs[i].Data
		switch {
		case msgs[i].Header.Level != unix.SOL_SOCKET:
		case kind == unix.SCM_CREDS && len(data) >= 8: // struct sockcred: real user, effective user
			from.uid = int(binary.NativeEndian.Uint32(data[4:]))
		case kind == scmCreds2 && len(data) >= 16: // struct sockcred2: version, process, real user, effective user
			from.pid = int(binary.NativeEndian.Uint32(data[4:]))
			from.uid = int(binary.NativeEndian.Uint32(data[12:]))
		case kind == unix.SCM_RIGHTS:
			fds, _ := unix.ParseUnixRights(&msgs[i])
			for _, fd := range fds {
				unix.CloseOnExec(fd) // FreeBSD 12 overlooks MSG_CMSG_CLOEXEC
			}
			files = append(files, fds...)
		}
	}
	return from, files
}

// sameFile reports whether two descriptors are of one open file, as far as
// the kernel tells: one file, opened in the same way and read up to the same place.
func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	if unix.Fstat(a, &x) != nil || unix.Fstat(b, &y) != nil || x.Dev != y.Dev || x.Ino != y.Ino || x.Mode != y.Mode || x.Ino == 0 {
		return false
	}
	how, _ := unix.FcntlInt(uintptr(a), unix.F_GETFL, 0)
	also, _ := unix.FcntlInt(uintptr(b), unix.F_GETFL, 0)
	at, _ := unix.Seek(a, 0, unix.SEEK_CUR)
	place, _ := unix.Seek(b, 0, unix.SEEK_CUR)
	return how == also && at == place
}
