package main

import (
	"encoding/binary"
	"os"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// toBuild are the programs that tests run.
var toBuild = []string{".", "../initctl"}

// playRole is what the test binary does when it is a process of a test.
func playRole() {
	if os.Getenv(clientMark) != "" {
		beClient(os.Args[1:])
		os.Exit(0)
	}
}

// onThisKernel makes a result of a script that of this kernel, and leaves out
// what only some versions of it tell: the process of a caller (since 13).
func onThisKernel(result string) string {
	result = strings.ReplaceAll(result, "/proc/self/fd/", "/dev/fd/")
	result = strings.ReplaceAll(result, "unix:abstract=/com/ubuntu/upstart-session/UID/PID", "unix:path=DIR/run/upstart/PID.socket")
	result = callerText.ReplaceAllString(result, "(uid UID)")
	return callerJSON.ReplaceAllString(result, `"uid": "UID"}`)
}

var (
	callerText = regexp.MustCompile(`\(uid UID, pid [^)]*\)`)
	callerJSON = regexp.MustCompile(`"uid": "UID","pid":[^}]*\}`)
)

// asOther reports whether a session is to run as another user.
func asOther(attr *syscall.SysProcAttr) bool { return attr.Credential != nil }

// apart reports whether a session is to have a network of its own: none is.
func apart(*syscall.SysProcAttr) bool { return false }

// arguments returns those of a process, the program's name first.
func arguments(pid int) []string {
	text, _ := unix.SysctlRaw("kern.proc.args", pid)
	return strings.Split(string(text), "\x00")
}

// parent returns the parent of a process, 0 if it is gone.
func parent(pid int) int {
	const ppidAt = 76 // in struct kinfo_proc of sys/user.h
	info, err := unix.SysctlRaw("kern.proc.pid", pid)
	if err != nil || len(info) < ppidAt+4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(info[ppidAt:]))
}
