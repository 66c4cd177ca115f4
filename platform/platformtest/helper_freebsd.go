package platformtest

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kernelFacts adds what only this kernel's calls tell.
func kernelFacts(facts map[string]string) {
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	facts["nice"] = describe(nice, err)
}

// forkTimes forks as often as told; each parent ends and the last child stays.
func forkTimes(kinds []string) {
	self, _ := os.Executable()
	for i, kind := range kinds {
		if kind == "exec" {
			syscall.Exec(self, append([]string{os.Args[0], helperArg, "fork"}, kinds[i+1:]...), os.Environ())
			os.Exit(99)
		}
		pid, second, errno := syscall.RawSyscall(unix.SYS_FORK, 0, 0, 0)
		if errno != 0 || pid != 0 && second == 0 {
			syscall.RawSyscall(unix.SYS_EXIT, uintptr(errno), 0, 0)
		}
	}
	for {
		syscall.RawSyscall6(unix.SYS_POLL, 0, 0, ^uintptr(0), 0, 0, 0)
	}
}

// spawnSelf starts the helper anew with the arguments behind the first, which
// says whether to stay, to leave or to fail.
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

// resting says whether a process lives.
func resting(pid int, untraced bool) bool { return unix.Kill(pid, 0) == nil }

// storm makes children that end at once.
func storm(n int) {
	for range n {
		pid, second, _ := syscall.RawSyscall(unix.SYS_FORK, 0, 0, 0)
		if second != 0 {
			syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
		unix.Wait4(int(pid), nil, 0, nil)
	}
}

// What follows asks for what this kernel tells in no file.

func traced() []string { return nil }

func held() []string { return []string{"none"} }

func childOf(pid int) int { return 0 }

func inState(pid int, state string) bool { return resting(pid, false) }

func alone(pids ...int) bool { return true }
