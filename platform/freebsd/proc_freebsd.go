package freebsd

import (
	bytes "encoding/binary" // the package has a binary of its own
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// The second and third number of sysctl(3) for processes (sys/sysctl.h).
const (
	procPID      = 1
	procArgs     = 7
	procAll      = 8
	procPathname = 12
	procNumFDs   = 43
)

// kinfo is struct kinfo_proc, which is the same on all machines of 64 bits.
type kinfo [1088]byte

// What of it is of use here, by place (sys/user.h).
const (
	kinfoPID     = 72
	kinfoPPID    = 76
	kinfoSID     = 88
	kinfoStatus  = 304
	kinfoAcct    = 306
	kinfoStart   = 336
	kinfoFlags   = 368
	kinfoState   = 388
	kinfoCommand = 447
	kinfoJail    = 592
)

const (
	commandSize = 20
	isStopped   = 4      // SSTOP
	isZombie    = 5      // SZOMB
	isExiting   = 0x2000 // P_WEXIT
	isForked    = 1      // AFORK: it has not executed anything
)

func (k *kinfo) int(at int) int { return int(int32(bytes.LittleEndian.Uint32(k[at:]))) }

func (k *kinfo) pid() int    { return k.int(kinfoPID) }
func (k *kinfo) parent() int { return k.int(kinfoPPID) }

// dead says that a process can do nothing any more.
func (k *kinfo) dead() bool { return k[kinfoState] == isZombie || k.int(kinfoFlags)&isExiting != 0 }

// stoppedBy reports whether a process is stopped by a signal.
func (k *kinfo) stoppedBy(sig unix.Signal) bool {
	return k[kinfoState] == isStopped && int(k[kinfoStatus])&0x7f == int(sig)
}

// started is a time of the wall clock.
func (k *kinfo) started() time.Duration {
	return time.Duration(bytes.LittleEndian.Uint64(k[kinfoStart:]))*time.Second +
		time.Duration(bytes.LittleEndian.Uint64(k[kinfoStart+8:]))*time.Microsecond
}

func (k *kinfo) command() string { return unix.ByteSliceToString(k[kinfoCommand:][:commandSize]) }

// sysctl reads what kern.proc has, and returns how much.
func sysctl(buf []byte, mib ...int32) (int, error) {
	mib = append([]int32{1, 14}, mib...) // kern.proc
	n := uintptr(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS___SYSCTL, uintptr(unsafe.Pointer(&mib[0])), uintptr(len(mib)),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(unsafe.Pointer(&n)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// look returns what the kernel tells of a process, dead or alive.
func look(pid int) (k *kinfo, ok bool) {
	if pid <= 0 {
		return nil, false
	}
	k = new(kinfo)
	n, err := sysctl(k[:], procPID, int32(pid))
	return k, err == nil && n == len(k)
}

// allProcesses returns all that this one may see, dead or alive.
func allProcesses() []kinfo {
	for {
		size, err := sysctl(nil, procAll)
		if err != nil {
			return nil
		}
		const one = int(unsafe.Sizeof(kinfo{}))
		all := make([]kinfo, size/one+8)
		n, err := sysctl(unsafe.Slice(&all[0][0], len(all)*one), procAll)
		if err == nil {
			return all[:n/one]
		}
		if err != unix.ENOMEM { // there are more by now
			return nil
		}
	}
}

// words are the strings that a process was executed with.
func words(pid int, of int32) []string {
	for size := 4 << 10; size <= 1<<20; size <<= 4 {
		buf := make([]byte, size)
		n, err := sysctl(buf, of, int32(pid))
		if err == unix.ENOMEM || n == size {
			continue
		}
		if err != nil || n == 0 {
			return nil
		}
		return strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	}
	return nil
}

func isStage(pid int) bool {
	_, _, ok := posix.StageFDs(words(pid, procArgs))
	return ok
}

// pathOf returns the file that a process executes, as far as it has a name.
func pathOf(pid int) string {
	var buf [unix.PathMax]byte
	n, err := sysctl(buf[:], procPathname, int32(pid))
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(buf[:n])
}

// alive reports whether a process exists and is not dead.
func alive(pid int) bool {
	k, ok := look(pid)
	return ok && !k.dead()
}

// parentOf returns the parent of a process, or 0.
func parentOf(pid int) int {
	if k, ok := look(pid); ok {
		return k.parent()
	}
	return 0
}

// startOf is when a process was started.
func startOf(pid int) time.Duration {
	if k, ok := look(pid); ok {
		return k.started()
	}
	return 0
}

// describe returns the command line of a process, or its name in brackets, and
// when after the boot it was started.
func describe(pid int) (command string, started time.Duration, ok bool) {
	k, ok := look(pid)
	if !ok {
		return "", 0, false
	}
	boot, _ := unix.SysctlTimeval("kern.boottime")
	if boot != nil {
		started = k.started() - time.Duration(boot.Nano())
	}
	command = strings.TrimSpace(strings.Join(words(pid, procArgs), " "))
	if command == "" {
		command = "[" + k.command() + "]"
	}
	return command, max(started, 0), true
}

// keepDescriptors makes all descriptors of this process close-on-exec from the
// third on.
func keepDescriptors() {
	var count [4]byte
	n, err := sysctl(count[:], procNumFDs, 0) // of this process
	left := 1 << 10
	if err == nil && n == len(count) {
		left = int(bytes.LittleEndian.Uint32(count[:]))
	}
	for fd := 0; left > 0 && fd < 1<<20; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			left--
			if fd > 2 && flags&unix.FD_CLOEXEC == 0 {
				unix.CloseOnExec(fd)
			}
		}
	}
}

// unborn reports whether a process is still a copy of the manager that forked
// it.
func unborn(k *kinfo) bool {
	return k[kinfoAcct]&isForked != 0 && !k.dead() && pathOf(k.pid()) == pathOf(os.Getpid())
}
