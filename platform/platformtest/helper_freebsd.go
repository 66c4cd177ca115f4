package platformtest

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// untold are the facts that the helper cannot tell.
var untold = []string{"oom"}

// kernelFacts adds what only this kernel's calls tell.
func kernelFacts(facts map[string]string) {
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	facts["nice"] = describe(nice, err)
	facts["tty"] = "0"
	if k := processWith(os.Getpid()); k != nil && int64(binary.LittleEndian.Uint64(k[560:])) != -1 { // ki_tdev
		facts["tty"] = fmt.Sprint(binary.LittleEndian.Uint64(k[560:]))
	}
	if k := processWith(os.Getpid()); k != nil {
		facts["SigBlk"] = fmt.Sprintf("%08x", binary.LittleEndian.Uint32(k[120:])) // ki_sigmask
		facts["SigIgn"] = fmt.Sprintf("%08x", binary.LittleEndian.Uint32(k[136:])) // ki_sigignore
	}
	facts["Cpus_allowed_list"] = processors()
	var fds []string
	for fd := range 64 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fmt.Sprintf("%d:%s", fd, nameOf(fd)))
		}
	}
	facts["fds"] = strings.Join(fds, " ")
}

// processors are those that this process may run on, with commas between.
func processors() string {
	const levelWhich, ofProcess = 3, 2
	var mask [128]byte
	errno := unix.ERANGE
	for size := 32; errno == unix.ERANGE && size <= len(mask); size *= 2 { // how large a set is depends on the kernel
		_, _, errno = unix.Syscall6(unix.SYS_CPUSET_GETAFFINITY, levelWhich, ofProcess, ^uintptr(0), uintptr(size), uintptr(unsafe.Pointer(&mask)), 0)
	}
	var list []string
	for cpu := range 8 * len(mask) {
		if mask[cpu/8]&(1<<(cpu%8)) != 0 {
			list = append(list, fmt.Sprint(cpu))
		}
	}
	return strings.Join(list, ",")
}

// nameOf is what a descriptor is of, as far as it matters here.
func nameOf(fd int) string {
	var st, null unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return "?"
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return fmt.Sprintf("pipe:%d", st.Ino)
	case unix.S_IFCHR:
		if unix.Stat(os.DevNull, &null) == nil && null.Rdev == st.Rdev {
			return os.DevNull
		}
		name, _ := posix.TerminalName(fd)
		return name
	}
	return fmt.Sprintf("%o:%d", st.Mode, st.Ino)
}

// forkTimes forks as often as told, by fork or by vfork; each parent ends and
// the last child stays. "exec" in the list executes the helper anew with what
// is left of the list. After a fork the runtime has lost its threads: nothing is
// allocated then, and nothing called that looks whether its stack must grow,
// where a collection begins to wait.
func forkTimes(kinds []string) {
	path, _ := os.Executable()
	self, _ := syscall.BytePtrFromString(path)
	var argv, env []*byte
	if i := slices.Index(kinds, "exec"); i >= 0 {
		argv, _ = syscall.SlicePtrFromStrings(append([]string{os.Args[0], helperArg, "fork"}, kinds[i+1:]...))
		env, _ = syscall.SlicePtrFromStrings(os.Environ())
	}
	for _, kind := range kinds {
		if kind == "exec" {
			syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(self)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
			syscall.RawSyscall(unix.SYS_EXIT, 99, 0, 0)
		}
		pid, errno := fork(kind == "vfork")
		if errno != 0 || pid != 0 {
			syscall.RawSyscall(unix.SYS_EXIT, uintptr(errno), 0, 0)
		}
	}
	for {
		syscall.RawSyscall6(unix.SYS_POLL, 0, 0, ^uintptr(0), 0, 0, 0)
	}
}

// fork returns 0 in the child. A maker that uses vfork has one stack with its
// child: what the child did there last, it does when it goes on.
//
//go:nosplit
func fork(waits bool) (pid uintptr, errno syscall.Errno) {
	call := uintptr(unix.SYS_FORK)
	if waits {
		call = unix.SYS_VFORK
	}
	pid, second, errno := syscall.RawSyscall(call, 0, 0, 0)
	if second != 0 {
		pid = 0
	}
	return pid, errno
}

// spawnSelf starts the helper anew, as posix_spawn does, with the arguments
// behind the first, which says whether to stay ("stay"), to end well ("leave")
// or to end badly ("fail").
func spawnSelf(args []string) {
	self, _ := os.Executable()
	argv := append([]string{os.Args[0], helperArg}, args[1:]...)
	syscall.ForkExec(self, argv, &syscall.ProcAttr{Env: os.Environ()})
	switch args[0] {
	case "stay":
		time.Sleep(time.Hour)
	case "fail":
		os.Exit(1)
	}
}

// storm makes children that end at once, some by executing a program.
func storm(n int) {
	program, _ := syscall.BytePtrFromString("/usr/bin/true")
	argv, env := []*byte{program, nil}, []*byte{nil}
	for i := range n {
		pid, _ := fork(false)
		if pid == 0 {
			if i%8 == 0 {
				syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(program)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
			}
			syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
		unix.Wait4(int(pid), nil, 0, nil)
	}
}

// A process is struct kinfo_proc; the numbers are places in it (sys/user.h).
type process []byte

const processSize = 1088

func (k process) pid() int    { return int(binary.LittleEndian.Uint32(k[72:])) }
func (k process) parent() int { return int(binary.LittleEndian.Uint32(k[76:])) }
func (k process) state() byte { return k[388] }
func (k process) tracer() int { return int(binary.LittleEndian.Uint32(k[576:])) }

func processes() (all []process) {
	buf, _ := unix.SysctlRaw("kern.proc.proc")
	for ; len(buf) >= processSize; buf = buf[processSize:] {
		all = append(all, process(buf[:processSize]))
	}
	return all
}

func processWith(pid int) process {
	buf, err := unix.SysctlRaw("kern.proc.pid", pid)
	if err != nil || len(buf) < processSize {
		return nil
	}
	return process(buf[:processSize])
}

// traces says that the kernel tells of trees without tracing.
const traces = false

// held has none to return.
func held() []string { return nil }

// traced returns the processes that are traced.
func traced() (pids []string) {
	for _, k := range processes() {
		if k.tracer() != 0 {
			pids = append(pids, fmt.Sprint(k.pid()))
		}
	}
	return pids
}

// alone reports whether no others of those that the test made live.
func alone(pids ...int) bool {
	return !slices.ContainsFunc(made(), func(k process) bool { return !slices.Contains(pids, k.pid()) && k.state() != zombie })
}

// made are the descendants of this process, to which its orphans come.
func made() (all []process) {
	rest, makers := processes(), []int{os.Getpid()}
	for i := 0; i < len(makers); i++ {
		for _, k := range rest {
			if k.parent() == makers[i] {
				makers, all = append(makers, k.pid()), append(all, k)
			}
		}
	}
	return all
}

// killAll kills what tests left, and reports whether there was any.
func killAll() bool {
	left := made()
	for _, k := range left {
		unix.Kill(k.pid(), unix.SIGKILL)
	}
	return len(left) > 0
}

// childOf returns a child of a process, or 0.
func childOf(pid int) int {
	for _, k := range processes() {
		if k.parent() == pid {
			return k.pid()
		}
	}
	return 0
}

const (
	asleep = 3
	halted = 4
	zombie = 5
)

// inState has states by their letters in Linux.
func inState(pid int, state string) bool {
	k := processWith(pid)
	return k != nil && k.state() == map[string]byte{"S": asleep, "T": halted, "Z": zombie}[state]
}

// resting says whether a process sleeps and is not traced.
func resting(pid int, untraced bool) bool {
	k := processWith(pid)
	return k != nil && k.state() == asleep && (!untraced || k.tracer() == 0)
}
