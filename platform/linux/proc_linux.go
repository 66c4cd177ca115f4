package linux

import (
	"os"
	"strconv"
	"strings"

	"onset/core/job"
	"onset/platform/posix"
)

func itoa(n int) string { return strconv.Itoa(n) }

func procPath(pid int, parts ...string) string {
	return "/proc/" + itoa(pid) + "/" + strings.Join(parts, "/")
}

// numbers are the entries of a directory that are numbers.
func numbers(dir string) (list []int) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			list = append(list, n)
		}
	}
	return list
}

func allProcesses() []int { return numbers("/proc") }

func threads(pid int) []int { return numbers(procPath(pid, "task")) }

// arguments are those of a process, or nil.
func arguments(pid int) []string {
	text, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

func isStage(pid int) bool {
	_, _, ok := posix.StageFDs(arguments(pid))
	return ok
}

// hasEnvironment reports whether a process was executed with the environment
// of a spec.
func hasEnvironment(pid int, s *job.Spec) bool {
	text, err := os.ReadFile(procPath(pid, "environ"))
	environ := strings.TrimSuffix(string(text), "\x00")
	if len(s.ListenNames) > 0 { // the stage told of them
		environ, _, _ = strings.Cut(environ, "\x00LISTEN_FDS=")
	}
	return err == nil && alive(pid) && environ == strings.Join(s.Env, "\x00")
}

// runsSelf reports whether a process runs our program.
func runsSelf(pid int) bool {
	own, err := os.Stat("/proc/self/exe")
	other, failed := os.Stat(procPath(pid, "exe"))
	return err == nil && failed == nil && os.SameFile(own, other)
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	state := statusWord(pid, "State")
	return state != "" && state[0] != 'Z' && state[0] != 'X'
}

// processOf returns the process of a thread, or 0.
func processOf(tid int) int { return statusField(tid, "Tgid") }

// parentOf returns the parent of a process, or 0.
func parentOf(pid int) int { return statusField(pid, "PPid") }

func statusField(pid int, name string) int {
	n, _ := strconv.Atoi(statusWord(pid, name))
	return n
}

func statusWord(pid int, name string) string {
	text, _ := os.ReadFile(procPath(pid, "status"))
	_, rest, _ := strings.Cut(string(text), "\n"+name+":\t")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
