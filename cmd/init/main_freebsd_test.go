package main

import (
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// toBuild are the programs that tests run.
var toBuild = []string{".", "../initctl"}

// playRole has no role to play.
func playRole() {}

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
