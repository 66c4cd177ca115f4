//go:build freebsd

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is what the tools show of one.
type process struct {
	pid, parent int
	state       byte
	name        string
}

// Of struct kinfo_proc (sys/user.h), where pointers and long have 64 bits.
const (
	offsetPID    = 72
	offsetParent = 76
	offsetState  = 388
	offsetName   = 447
	nameSize     = 19

	stateZombie = 5
)

// processes lists all.
func processes() ([]process, error) {
	raw, err := unix.SysctlRaw("kern.proc.proc")
	if err != nil {
		return nil, err
	}
	var list []process
	for len(raw) >= 4 {
		size := int(binary.NativeEndian.Uint32(raw))
		if size <= offsetName+nameSize || size > len(raw) {
			return nil, fmt.Errorf("a process has %d bytes", size)
		}
		number := func(offset int) int { return int(int32(binary.NativeEndian.Uint32(raw[offset:]))) }
		list = append(list, process{number(offsetPID), number(offsetParent), raw[offsetState],
			text(raw[offsetName : offsetName+nameSize])})
		raw = raw[size:]
	}
	return list, nil
}

// strings0 are the words that the kernel keeps of a process: args or env.
func strings0(what string, pid int) []string {
	raw, err := unix.SysctlRaw("kern.proc."+what, pid)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
}

func ps([]string) int {
	list, err := processes()
	fmt.Println("  PID  PPID STATE COMMAND")
	for _, p := range list {
		command := strings.Join(strings0("args", p.pid), " ")
		if command == "" {
			command = "[" + p.name + "]"
		}
		fmt.Printf("%5d %5d %c     %s\n", p.pid, p.parent, "?IRSTZWL"[min(int(p.state), 7)], command)
	}
	return done("ps", err)
}

// manager prints the process of init that has the jobs.
func manager([]string) int {
	list, err := processes()
	for _, p := range list {
		if args := strings0("args", p.pid); p.parent == 1 && len(args) > 0 && args[0] == "/sbin/init" {
			fmt.Println(p.pid)
			return 0
		}
	}
	return max(1, done("manager", err))
}

// program prints the file that a process executes, if it is still there.
func program(args []string) int {
	return each("program", args, func(word string) error {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		raw, err := unix.SysctlRaw("kern.proc.pathname", pid)
		if err == nil {
			fmt.Println(text(raw))
		}
		return err
	})
}

// zombies prints how many processes are dead and were not waited for.
func zombies([]string) int {
	list, err := processes()
	n := 0
	for _, p := range list {
		if p.state == stateZombie {
			n++
		}
	}
	fmt.Println(n)
	return done("zombies", err)
}

// batch ends before its thousand children do, or leaves them dead.
func batch([]string) int {
	for range 1000 {
		if pid, _, e := syscall.RawSyscall(syscall.SYS_FORK, 0, 0, 0); e != 0 {
			return fail("batch", e)
		} else if pid == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
		}
	}
	return 0
}

// hunt kills each manager at once, until it is killed itself. A manager has
// the variable; what becomes the shell of process 1 has not.
func hunt([]string) int {
	os.WriteFile("/tmp/hunter", []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
	for {
		list, err := processes()
		if err != nil {
			return fail("hunt", err)
		}
		for _, p := range list {
			if p.parent != 1 {
				continue
			}
			for _, v := range strings0("env", p.pid) {
				if strings.HasPrefix(v, "ONSET_KEEPER=") {
					syscall.Kill(p.pid, syscall.SIGKILL)
				}
			}
		}
	}
}
