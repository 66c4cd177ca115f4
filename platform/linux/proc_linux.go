package linux

import (
	"bytes"
	"os"
	"slices"
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
// of a spec. What the exec stage may add or replace is left out.
func hasEnvironment(pid int, s *job.Spec) bool {
	text, err := os.ReadFile(procPath(pid, "environ"))
	if err != nil || !alive(pid) {
		return false
	}
	has, wants := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), slices.Clone(s.Env)
	if i := s.Attrs.Isolation; len(s.ListenNames) > 0 || i != nil && len(i.EnvFiles)+len(i.Credentials) > 0 {
		other := func(v string) bool { return !strings.HasPrefix(v, "UPSTART_") }
		has, wants = slices.DeleteFunc(has, other), slices.DeleteFunc(wants, other)
	}
	return slices.Equal(has, wants)
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

// living returns the parent of a process that exists and is no zombie.
func living(pid int) (parent int, ok bool) {
	text, _ := os.ReadFile(procPath(pid, "stat"))
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name may hold anything
	if len(f) < 2 || f[0] == "Z" || f[0] == "X" {
		return 0, false
	}
	parent, _ = strconv.Atoi(f[1])
	return parent, parent != 0
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
