package platformtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernelFacts adds what the process files tell.
func kernelFacts(facts map[string]string) {
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	facts["nice"] = fmt.Sprint(20 - nice)
	oom, _ := os.ReadFile("/proc/self/oom_score_adj")
	facts["oom"] = strings.TrimSpace(string(oom))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if k, v, _ := strings.Cut(line, ":"); k == "SigBlk" || k == "SigIgn" || k == "Cpus_allowed_list" {
			facts[k] = strings.TrimSpace(v)
		}
	}
	stat, _ := os.ReadFile("/proc/self/stat")
	if f := strings.Fields(string(stat)); len(f) > 6 {
		facts["tty"] = f[6]
	}
	var fds []string
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if n, _ := strconv.Atoi(e.Name()); err == nil && inherited(n) {
			fds = append(fds, e.Name()+":"+target)
		}
	}
	facts["fds"] = strings.Join(fds, " ")
}

// inherited tells what the process was given from what its runtime opened.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// forkTimes forks as often as told, by fork or by clone without a signal at
// the end; each parent ends and the last child stays. "exec" in the list
// executes the helper anew with what is left of the list.
func forkTimes(kinds []string) {
	for i, kind := range kinds {
		if kind == "exec" {
			syscall.Exec("/proc/self/exe", append([]string{os.Args[0], helperArg, "fork"}, kinds[i+1:]...), os.Environ())
			os.Exit(99)
		}
		flags := map[string]uintptr{"fork": uintptr(unix.SIGCHLD), "clone": 0}[kind]
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
		select {}
	case "fail":
		os.Exit(1)
	}
}
