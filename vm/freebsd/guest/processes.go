//go:build freebsd

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

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

// background executes a program after some forks: N PROGRAM [ARG...]. A child
// has no runtime of Go: there are nothing but system calls.
func background(args []string) int {
	if len(args) < 2 {
		return fail("background", errors.New("usage: background N PROGRAM [ARG...]"))
	}
	forks, err := strconv.Atoi(args[0])
	if err != nil {
		return fail("background", err)
	}
	program, err := exec.LookPath(args[1])
	if err != nil {
		return fail("background", err)
	}
	path, _ := syscall.BytePtrFromString(program)
	argv, _ := syscall.SlicePtrFromStrings(args[1:])
	envv, _ := syscall.SlicePtrFromStrings(os.Environ())
	for range forks {
		if pid, _, e := syscall.RawSyscall(syscall.SYS_FORK, 0, 0, 0); e != 0 || pid != 0 {
			syscall.RawSyscall(syscall.SYS_EXIT, uintptr(e), 0, 0)
		}
	}
	syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])))
	syscall.RawSyscall(syscall.SYS_EXIT, 126, 0, 0)
	return 126
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

// overwrite fills a megabyte of the code of a process with illegal
// instructions.
func overwrite(args []string) int {
	return each("overwrite", args, func(word string) error {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		raw, err := unix.SysctlRaw("kern.proc.pathname", pid)
		if err != nil {
			return err
		}
		file, err := elf.Open(text(raw))
		if err != nil {
			return err
		}
		defer file.Close()
		code := file.Section(".text")
		illegal := bytes.Repeat([]byte{0x0f, 0x0b}, int(min(code.Size, 1<<20))/2)
		if err := unix.PtraceAttach(pid); err != nil {
			return err
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != nil {
			return err
		}
		_, err = unix.PtraceIO(unix.PIOD_WRITE_I, pid, uintptr(code.Addr), illegal, len(illegal))
		return errors.Join(err, unix.PtraceDetach(pid))
	})
}
