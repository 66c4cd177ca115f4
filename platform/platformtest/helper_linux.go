package platformtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// untold are the facts that the helper cannot tell: none.
var untold []string

// kernelFacts adds what the process files tell.
func kernelFacts(facts map[string]string) {
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	facts["nice"] = fmt.Sprint(20 - nice)
	oom, _ := os.ReadFile("/proc/self/oom_score_adj")
	facts["oom"] = strings.TrimSpace(string(oom))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		switch k, v, _ := strings.Cut(line, ":"); k {
		case "Cpus_allowed_list":
			facts[k] = strings.TrimSpace(v)
		case "SigBlk", "SigIgn": // 1 to 31, as UPSTART §4.3 step 19: the C library has its own plans for others
			mask, _ := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			facts[k] = fmt.Sprintf("%08x", mask&(1<<31-1))
		}
	}
	stat, _ := os.ReadFile("/proc/self/stat")
	if f := strings.Fields(string(stat)); len(f) > 6 {
		facts["tty"] = f[6]
	}
	var fds []string
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if n, _ := strconv.Atoi(e.Name()); inherited(n) {
			fds = append(fds, e.Name()+":"+nameOf(n))
		}
	}
	facts["fds"] = strings.Join(fds, " ")
}

// nameOf is the path or kind of what a descriptor is of.
func nameOf(fd int) string {
	name, _ := posix.TerminalName(fd)
	return name
}

// inherited tells what the process was given from what its runtime opened.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// forkTimes forks as often as told, by fork, by vfork or by clone without a signal at
// the end; each parent ends and the last child stays. "exec" in the list
// executes the helper anew with what is left of the list. After a fork the
// runtime has lost its threads: nothing is allocated then, and nothing called
// that looks whether its stack must grow, where a collection begins to wait.
func forkTimes(kinds []string) {
	self, _ := syscall.BytePtrFromString("/proc/self/exe")
	var argv, env []*byte
	if i := slices.Index(kinds, "exec"); i >= 0 {
		argv, _ = syscall.SlicePtrFromStrings(append([]string{os.Args[0], helperArg, "fork"}, kinds[i+1:]...))
		env, _ = syscall.SlicePtrFromStrings(os.Environ())
	}
	const executes = ^uintptr(0)
	calls := make([]uintptr, len(kinds))
	for i, kind := range kinds {
		calls[i] = map[string]uintptr{"fork": uintptr(unix.SIGCHLD), "clone": 0, "vfork": uintptr(unix.SIGCHLD | unix.CLONE_VFORK), "exec": executes}[kind]
	}
	for _, flags := range calls {
		if flags == executes {
			syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(self)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 99, 0, 0)
		}
		pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
		if errno != 0 || pid != 0 {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
		}
	}
	for {
		syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

// spawnSelf starts the helper anew, as posix_spawn does, with the arguments
// behind the first, which says whether to stay ("stay"), to end well ("leave")
// or to end badly ("fail").
func spawnSelf(args []string) {
	argv := append([]string{os.Args[0], helperArg}, args[1:]...)
	syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{Env: os.Environ()})
	switch args[0] {
	case "stay":
		time.Sleep(time.Hour)
	case "fail":
		os.Exit(1)
	}
}

// storm makes children that end at once, some by executing a program.
func storm(n int) {
	program, _ := syscall.BytePtrFromString("/bin/true")
	argv, env := []*byte{program, nil}, []*byte{nil}
	for i := range n {
		pid, _, _ := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if pid == 0 {
			if i%8 == 0 {
				syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(program)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
			}
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		unix.Wait4(int(pid), nil, 0, nil)
	}
}

// traces says that trees are followed by tracing them.
const traces = true

// traced returns the threads that are traced.
func traced() (tids []string) {
	names, _ := filepath.Glob("/proc/[0-9]*/task/*/status")
	return slices.DeleteFunc(names, func(name string) bool {
		text, err := os.ReadFile(name)
		return err != nil || strings.Contains(string(text), "\nTracerPid:\t0\n")
	})
}

// held returns the threads that are stopped for their tracer.
func held() []string {
	return slices.DeleteFunc(traced(), func(name string) bool {
		text, _ := os.ReadFile(name)
		return !strings.Contains(string(text), "\nState:\tt")
	})
}

// killAll kills what tests left, where that is all there is, and reports whether
// there was any.
func killAll() bool { return os.Getpid() == 1 && unix.Kill(-1, unix.SIGKILL) != unix.ESRCH }

// alone reports whether no other processes than these live.
func alone(pids ...int) bool {
	names, _ := filepath.Glob("/proc/[0-9]*")
	return !slices.ContainsFunc(names, func(name string) bool {
		pid, _ := strconv.Atoi(filepath.Base(name))
		return !slices.Contains(pids, pid) && !inState(pid, "Z")
	})
}

// childOf returns a child of a process, or 0.
func childOf(pid int) (child int) {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, name := range names {
		text, _ := os.ReadFile(name)
		fmt.Sscan(string(text), &child)
	}
	return child
}

func inState(pid int, state string) bool { return statusHas(pid, "State", state) }

// statusHas reports whether what the kernel says of a process begins so.
func statusHas(pid int, name string, value any) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return strings.Contains(string(text), fmt.Sprintf("\n%s:\t%v", name, value))
}

// resting says whether all threads of a process sleep, and are not traced.
func resting(pid int, untraced bool) bool {
	tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	for _, task := range tasks {
		status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + task.Name() + "/status")
		text := string(status)
		if !strings.Contains(text, "\nState:\tS") || untraced && !strings.Contains(text, "\nTracerPid:\t0\n") {
			return false
		}
	}
	return len(tasks) > 0
}
