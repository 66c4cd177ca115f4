package keeper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is what the two sides send each other, as it is in memory. Its
// layout and its kinds are for ever: the two may be of different versions.
type message struct {
	Kind uint32
	Len  uint32 // of Name
	Seq  uint64
	A    int32
	B    int32
	C    int32
	D    int32
	Name [MaxName]byte
	_    int32
}

const messageSize = int(unsafe.Sizeof(message{}))

// Kinds of messages to the keeper. The number of a kind never changes.
const (
	msgHello     = 1  // Seq: a nonce, so that the greeting is known
	msgStore     = 2  // Name, descriptor
	msgDrop      = 3  // Name
	msgAck       = 4  // Seq: of the last event taken
	msgRecovered = 5  // the log is in order again
	msgAlive     = 6  // an input was handled
	msgReboot    = 7  // A: Reboot
	msgExit      = 8  // A: code
	msgWatchdog  = 9  // A: milliseconds between feeds, 0 for off
	msgReexec    = 10 // execute yourself
)

// Kinds of messages from the keeper.
const (
	msgGreeting = 101 // Seq: the nonce; A: life, B: flags, C, D: waitid code and status; Len: room in the store
	msgStored   = 102 // Name, descriptor
	msgReady    = 103 // the greeting is complete; A: how many events follow that happened before it
	msgEvent    = 104 // Seq; A: process or 0, B: waitid code, C: status or signal
)

// Flags of a greeting.
const (
	greetDied     = 1 // C and D tell of a death
	greetPoisoned = 2
)

func (m *message) name() []byte { return m.Name[:min(m.Len, MaxName)] }

func (m *message) setName(name []byte) { m.Len = uint32(copy(m.Name[:], name)) }

func (m *message) bytes() []byte { return (*[messageSize]byte)(unsafe.Pointer(m))[:] }

// wire is one end of the socket. Its buffers are there once and for all.
type wire struct {
	out, in    message
	oob, inOOB [32]byte
	iov        unix.Iovec
	hdr        unix.Msghdr
}

// send sends out, with a descriptor unless it is negative. EAGAIN says that
// there is no room.
func (w *wire) send(socket, fd int) error {
	var oob []byte
	if fd >= 0 {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&w.oob[0]))
		h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
		h.SetLen(unix.CmsgLen(4))
		*(*int32)(unsafe.Pointer(&w.oob[unix.CmsgLen(0)])) = int32(fd)
		oob = w.oob[:unix.CmsgSpace(4)]
	}
	for {
		_, err := unix.SendmsgN(socket, w.out.bytes(), oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch err {
		case unix.EINTR:
			continue
		case unix.ETOOMANYREFS, unix.ENOBUFS: // until the other side has read some
			err = unix.EAGAIN
		}
		return err
	}
}

// receive fills in and returns the descriptor that came along, or -1. EAGAIN
// says that there is no message, EPIPE that there will be none.
func (w *wire) receive(socket int) (fd int, err error) {
	for {
		// unix.Recvmsg would allocate an address each time.
		w.iov.Base = &w.in.bytes()[0]
		w.iov.SetLen(messageSize)
		w.hdr = unix.Msghdr{Iov: &w.iov, Control: &w.inOOB[0]}
		w.hdr.SetIovlen(1)
		w.hdr.SetControllen(unix.CmsgSpace(4))
		n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(socket), uintptr(unsafe.Pointer(&w.hdr)),
			unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errno == unix.EINTR, errno == unix.ECONNRESET: // the second once, if the other end left something unread
			continue
		case errno == 0 && n == 0:
			return -1, unix.EPIPE
		case errno != 0:
			return -1, errno
		}
		fd := w.rights(int(w.hdr.Controllen))
		if int(n) == messageSize {
			return fd, nil
		}
		closeFD(fd)
	}
}

// rights returns the descriptor in the control message of oobn bytes, or -1.
func (w *wire) rights(oobn int) int {
	if oobn < unix.CmsgLen(4) {
		return -1
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&w.inOOB[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_RIGHTS {
		return -1
	}
	return int(*(*int32)(unsafe.Pointer(&w.inOOB[unix.CmsgLen(0)])))
}

func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
