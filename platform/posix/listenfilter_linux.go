package posix

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ListenCall is listen(2) in one of the system-call tables of a kernel.
type ListenCall struct {
	Arch       uint32 // AUDIT_ARCH_*
	Number     int32
	Socketcall bool // the call takes 4, and a pointer to the arguments
}

const (
	auditLoongarch64 = 0xc0000102
	x32              = 0x40000000
	socketcallListen = 4
)

// ListenCalls are all of them, whatever this program was made for.
var ListenCalls = [...]ListenCall{
	{unix.AUDIT_ARCH_X86_64, 50, false}, {unix.AUDIT_ARCH_X86_64, x32 | 50, false},
	{unix.AUDIT_ARCH_I386, 363, false}, {unix.AUDIT_ARCH_I386, 102, true},
	{unix.AUDIT_ARCH_AARCH64, 201, false}, {unix.AUDIT_ARCH_ARM, 284, false},
	{unix.AUDIT_ARCH_RISCV64, 201, false}, {auditLoongarch64, 201, false},
	{unix.AUDIT_ARCH_PPC64LE, 329, false}, {unix.AUDIT_ARCH_S390X, 369, false},
}

// What the stage says over the socket of expect listen: a byte and an error
// number, with the descriptor of the filter unless it failed.
const (
	ListenFiltered     = 'f'
	ListenUnprivileged = 'u' // at the price of no_new_privs
	ListenFailed       = 'x'
)

// ListenReport is the length of it in bytes.
const ListenReport = 5

// Offsets in seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// listening is what the stage of a job with expect listen has for that.
type listening struct{ filter []unix.SockFilter }

func (s *stage) prepareListens() *SetupError {
	if s.Listen {
		unix.CloseOnExec(s.sign())
		s.filter = listenFilter()
	}
	return nil
}

// listenFilter is a program for the kernel that has listen(2) told and lets
// all else pass. It comes as one block a call: skip it unless all of it fits.
func listenFilter() (prog []unix.SockFilter) {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	unless := func(k uint32, skip int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: uint8(skip)}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	for _, c := range ListenCalls {
		rest := []unix.SockFilter{ret(unix.SECCOMP_RET_USER_NOTIF)}
		if c.Socketcall {
			rest = append([]unix.SockFilter{load(firstArgument()), unless(socketcallListen, 1)}, rest...)
		}
		prog = append(prog, load(dataArch), unless(c.Arch, 2+len(rest)), load(dataNumber), unless(uint32(c.Number), len(rest)))
		prog = append(prog, rest...)
	}
	return append(prog, ret(unix.SECCOMP_RET_ALLOW))
}

// firstArgument is where the low half of it is.
func firstArgument() uint32 {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // big end first
		return dataArgs + 4
	}
	return dataArgs
}

// tellListens installs the filter in this thread, which becomes the program,
// and sends its descriptor to the manager: the socket keeps it, so nothing waits. A
// process without privileges has to give up those it could get. It takes no
// memory.
func (s *stage) tellListens() {
	if s.filter == nil {
		return
	}
	report := [ListenReport]byte{0: ListenFiltered}
	fd, errno := s.setFilter()
	if errno == unix.EACCES {
		if !s.Isolation.NoNewPrivs {
			report[0] = ListenUnprivileged
		}
		if _, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno == 0 {
			fd, errno = s.setFilter()
		}
	}
	if errno != 0 {
		report[0], fd = ListenFailed, -1
		binary.LittleEndian.PutUint32(report[1:], uint32(errno))
	}
	s.sendFilter(&report, fd)
	unix.Close(s.sign())
}

// setFilter returns the descriptor of the filter.
func (s *stage) setFilter() (fd int, errno unix.Errno) {
	prog := unix.SockFprog{Len: uint16(len(s.filter)), Filter: &s.filter[0]}
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	for {
		r, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		if errno == unix.EINVAL && flags != unix.SECCOMP_FILTER_FLAG_NEW_LISTENER { // before Linux 5.19
			flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
			continue
		}
		return int(r), errno
	}
}

// sendFilter sends a report and, unless it is negative, a descriptor, which it closes.
func (s *stage) sendFilter(report *[ListenReport]byte, fd int) {
	iov := unix.Iovec{Base: &report[0]}
	iov.SetLen(len(report))
	msg := unix.Msghdr{Iov: &iov}
	msg.SetIovlen(1)
	var oob [32]byte
	if fd >= 0 {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
		h.SetLen(unix.CmsgLen(4))
		*(*int32)(unsafe.Pointer(&oob[unix.CmsgLen(0)])) = int32(fd)
		msg.Control = &oob[0]
		msg.SetControllen(unix.CmsgSpace(4))
	}
	syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(s.sign()), uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL)
	if fd >= 0 {
		unix.Close(fd)
	}
}

// sign is where the socket of expect listen is.
func (s *stage) sign() int {
	if s.Trace { // there is a gate before it
		return s.report + 2
	}
	return s.report + 1
}
