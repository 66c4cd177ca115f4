package platformtest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// helperArg as the first argument makes the test binary a process under test.
const helperArg = "onset-helper"

// init keeps a manager under test on the first thread, which alone lives on
// when it executes itself anew, and with it what it traces.
func init() {
	if len(os.Args) > 2 && os.Args[1] == helperArg {
		runtime.LockOSThread()
	}
}

// Main is the exec stage, a process under test or a manager on a back end, if that is what the test
// binary was started as, and returns otherwise.
func Main(backend Backend) {
	posix.StageMain()
	if len(os.Args) < 3 || os.Args[1] != helperArg {
		return
	}
	if os.Args[2] == "manager" {
		manage(backend)
	}
	runHelper(os.Args[2:])
	os.Exit(0)
}

// runHelper is the life of a process under test.
func runHelper(words []string) {
	args := words[1:]
	switch words[0] {
	case "report":
		report(args[0])
	case "fork":
		forkTimes(args)
	case "spawn":
		spawnSelf(args)
	case "session": // executes a program in a session of its own
		unix.Setsid()
		path, _ := exec.LookPath(args[0])
		syscall.Exec(path, args, os.Environ())
	case "thread":
		go func() {
			runtime.LockOSThread()
			runHelper(args)
		}()
		select {}
	case "pace":
		pace(args)
	case "storm":
		n, _ := strconv.Atoi(args[0])
		storm(n)
		runHelper(args[1:])
	case "weather": // storms until a file is there
		for there(args[0]) != nil {
			storm(8)
		}
		runHelper(args[1:])
	}
}

func there(name string) error {
	_, err := os.Stat(name)
	return err
}

// pace makes children when a pipe can be opened, and writes how long that took.
func pace(args []string) {
	os.ReadFile(args[0])
	n, _ := strconv.Atoi(args[1])
	start := time.Now()
	storm(n)
	writeFile(args[2], strconv.Itoa(int(time.Since(start))))
}

// writeFile makes a file that is complete once it is there.
func writeFile(name, text string) {
	os.WriteFile(name+".new", []byte(text), 0o644)
	os.Rename(name+".new", name)
}

// report writes what the process sees of itself, a line a fact.
func report(name string) {
	facts := map[string]string{
		"args": strings.Join(os.Args[2:], " "), "env": strings.Join(sorted(os.Environ()), " "),
		"pid": fmt.Sprint(os.Getpid()), "ppid": fmt.Sprint(os.Getppid()),
	}
	mask := unix.Umask(0)
	facts["umask"] = fmt.Sprintf("%03o", mask)
	facts["sid"], facts["pgid"] = describe(unix.Getsid(0)), describe(unix.Getpgid(0))
	facts["cwd"], _ = os.Getwd()
	facts["uid"], facts["gid"] = fmt.Sprint(os.Getuid()), fmt.Sprint(os.Getgid())
	groups, _ := unix.Getgroups()
	sort.Ints(groups) // some kernels begin with the effective one
	facts["groups"] = fmt.Sprint(groups)
	kernelFacts(facts)
	var b strings.Builder
	for _, k := range sortedKeys(facts) {
		fmt.Fprintf(&b, "%s=%s\n", k, facts[k])
	}
	writeFile(name, b.String())
}

func describe(n int, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(n)
}

func sorted(s []string) []string {
	sort.Strings(s)
	return s
}

func sortedKeys(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return sorted(keys)
}
