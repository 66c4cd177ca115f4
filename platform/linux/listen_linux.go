package linux

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/posix"
)

// Listens implements platform.Listens with user notifications of seccomp: the
// kernel holds a call of listen(2) until it is answered. The call is done here
// on a copy of the socket, so that who is told of it finds a socket that
// listens. The answer waits until the journal knows, so calls are taken one a
// turn; one that a manager took and did not answer is found by the next in memory
// that both share, and done again.
type Listens struct {
	poller  platform.Poller
	handler platform.ListenHandler
	taken   *takenCall
	watches map[uint64]*listenWatch
	answer  *listenWatch // has a call that was done, and result
	result  notifyAnswer
	starved []*listenWatch // report again
}

var _ platform.Listens = (*Listens)(nil)

// ListenMemory is how many bytes Listens needs that outlive the manager.
const ListenMemory = int(unsafe.Sizeof(takenCall{}))

// takenCall is a call taken from the kernel, which writes it here itself. An
// ID of 0 is none.
type takenCall struct {
	notification
	Token uint64
}

// notification is struct seccomp_notif.
type notification struct {
	ID     uint64
	PID    uint32 // thread, in this pid namespace
	Flags  uint32
	Number int32
	Arch   uint32
	IP     uint64
	Args   [6]uint64
}

// notifyAnswer is struct seccomp_notif_resp.
type notifyAnswer struct {
	ID    uint64
	Value int64
	Error int32
	Flags uint32
}

// Requests of ioctl on the descriptor of a filter.
const (
	notifyReceive = unix.SECCOMP_IOCTL_NOTIF_RECV
	notifySend    = unix.SECCOMP_IOCTL_NOTIF_SEND
	notifyValid   = unix.SECCOMP_IOCTL_NOTIF_ID_VALID
)

// listenWatch hears of one spawn.
type listenWatch struct {
	token   uint64
	address posix.ListenAddress
	socket  int
	filter  int // -1: the stage has not said anything yet
	told    bool
}

// NewListens hears nothing yet. The memory is that of the manager before, if
// there was one, and else zero.
func NewListens(p platform.Poller, memory []byte, h platform.ListenHandler) platform.Listens {
	return &Listens{poller: p, handler: h, taken: (*takenCall)(unsafe.Pointer(&memory[0])), watches: map[uint64]*listenWatch{}}
}

// Watch implements platform.Listens.
func (l *Listens) Watch(token uint64, address string, socket int) error {
	a, ok := posix.ParseListenAddress(address)
	if !ok {
		l.handler.Remark(token, fmt.Sprintf("is ready when it listens anywhere: %q is no address", address))
	}
	w := &listenWatch{token: token, address: a, socket: socket, filter: -1}
	if err := l.poller.Add(socket, platform.Readable, func(platform.Ready) { l.report(w) }); err != nil {
		return posix.Underlying(err)
	}
	l.watches[token] = w
	l.report(w)
	if w.filter >= 0 && l.taken.ID != 0 && l.taken.Token == token {
		l.again(w)
	}
	return nil
}

// report looks for what the stage says. That stays in the socket, and keeps the
// descriptor there.
func (l *Listens) report(w *listenWatch) {
	var b [posix.ListenReport]byte
	var oob [64]byte
	n, oobn, _, _, err := unix.Recvmsg(w.socket, b[:], oob[:], unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	l.poller.Remove(w.socket)
	fd := oneDescriptor(oob[:max(oobn, 0)])
	switch {
	case err != nil || n != len(b): // the stage failed before it came to that
		l.end(w)
	case fd < 0 && b[0] != posix.ListenFailed: // no descriptor is free
		l.starved = append(l.starved, w)
	case fd < 0:
		errno := unix.Errno(binary.LittleEndian.Uint32(b[1:]))
		l.handler.Remark(w.token, "is ready when executed, as init cannot hear of listen: "+posix.Strerror(errno))
		l.tell(w)
		l.end(w)
	default:
		if b[0] == posix.ListenUnprivileged {
			l.handler.Remark(w.token, "runs with no new privileges: without privileges init hears of listen only so")
		}
		w.filter = fd
		if err := l.poller.Add(fd, platform.Readable, func(r platform.Ready) { l.called(w, r) }); err != nil {
			l.end(w)
		}
	}
}

func oneDescriptor(oob []byte) int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) != 1 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1
	}
	return fds[0]
}

// end forgets a watch.
func (l *Listens) end(w *listenWatch) {
	if w.filter >= 0 {
		l.poller.Remove(w.filter)
		unix.Close(w.filter)
	}
	if l.answer == w {
		l.answer = nil
	}
	delete(l.watches, w.token)
	l.handler.Unwatched(w.token)
}

func (l *Listens) tell(w *listenWatch) {
	if !w.told {
		w.told = true
		l.handler.Listening(w.token)
	}
}

// called takes a call, if none waits for its answer.
func (l *Listens) called(w *listenWatch, r platform.Ready) {
	if r&platform.Readable == 0 {
		if r&platform.Hangup != 0 { // nobody is left whom the filter strikes
			l.end(w)
		}
		return
	}
	if l.answer != nil {
		return
	}
	*l.taken = takenCall{Token: w.token}
	if notifyControl(w.filter, notifyReceive, unsafe.Pointer(l.taken)) == 0 {
		l.do(w)
	} // else it was interrupted
}

// again does a call that the manager before had taken.
func (l *Listens) again(w *listenWatch) {
	if notifyControl(w.filter, notifyValid, unsafe.Pointer(&l.taken.ID)) == 0 {
		l.do(w)
	} else {
		l.taken.ID = 0
	}
}

// do does the call that was taken, on a copy of its socket. Where that may not
// be, the kernel does it when it is answered.
func (l *Listens) do(w *listenWatch) {
	l.answer, l.result = w, notifyAnswer{ID: l.taken.ID, Flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	process := processOf(int(l.taken.PID))
	fd, backlog, ok := l.taken.arguments()
	if !ok {
		l.tell(w)
		return
	}
	copied, err := copyDescriptor(process, fd)
	switch err {
	case nil:
		defer unix.Close(copied)
	case unix.EBADF, unix.ESRCH:
		return
	default:
		if !w.told && w.address.Limited() {
			l.handler.Remark(w.token, "is ready when it listens anywhere, as init may not look where: "+err.Error())
		}
		l.tell(w)
		return
	}
	// It may be another process by now that has the number.
	if notifyControl(w.filter, notifyValid, unsafe.Pointer(&l.taken.ID)) != 0 {
		return
	}
	if !confined(process) {
		l.result.Flags = 0
		if err := unix.Listen(copied, backlog); err != nil {
			l.result.Error = -int32(err.(unix.Errno))
			return
		}
	}
	if matches(w.address, copied) {
		l.tell(w)
	}
}

// matches reports whether the socket is bound so that it takes what comes to
// the address: one bound to all addresses of a host takes what comes to one.
func matches(a posix.ListenAddress, socket int) bool {
	if !a.Limited() {
		return true
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		return false
	}
	switch name := name.(type) {
	case *unix.SockaddrUnix:
		return a.Named(name.Name)
	case *unix.SockaddrInet4:
		return a.Takes(netip.AddrFrom4(name.Addr), name.Port, true)
	case *unix.SockaddrInet6:
		only, err := unix.GetsockoptInt(socket, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		return a.Takes(netip.AddrFrom16(name.Addr).Unmap(), name.Port, err == nil && only != 0)
	}
	return false
}

// confined reports whether a security module may forbid the process what this
// one may do.
func confined(pid int) bool {
	label, err := os.ReadFile(procPath(pid, "attr", "current"))
	return err == nil && len(label) > 0 && !strings.HasPrefix(string(label), "unconfined")
}

// Taken implements platform.Listens: it lets the call return.
func (l *Listens) Taken() {
	starved := l.starved
	l.starved = nil
	for _, w := range starved {
		l.report(w)
	}
	if l.answer == nil {
		return
	}
	notifyControl(l.answer.filter, notifySend, unsafe.Pointer(&l.result)) // an error: it was interrupted
	l.answer, l.taken.ID = nil, 0
}

// arguments are those of the call.
func (c *takenCall) arguments() (fd, backlog int, ok bool) {
	for _, call := range posix.ListenCalls {
		if call.Arch != c.Arch || call.Number != c.Number {
			continue
		}
		if !call.Socketcall {
			return int(int32(c.Args[0])), int(int32(c.Args[1])), true
		}
		var args [2]int32
		local := unix.Iovec{Base: (*byte)(unsafe.Pointer(&args))}
		local.SetLen(8)
		remote := unix.RemoteIovec{Base: uintptr(uint32(c.Args[1])), Len: 8}
		n, err := unix.ProcessVMReadv(int(c.PID), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
		return int(args[0]), int(args[1]), err == nil && n == 8
	}
	return 0, 0, false
}

// copyDescriptor returns a copy of a descriptor of a process.
func copyDescriptor(pid, fd int) (int, error) {
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(handle)
	return unix.PidfdGetfd(handle, fd, 0)
}

func notifyControl(fd int, request uintptr, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	return errno
}
