package freebsd

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// limitedArg makes this binary enter a login class, or stay in its own for "=",
// and be what is behind it.
const limitedArg = "onset-limited"

func init() {
	if len(os.Args) != 4 || os.Args[1] != limitedArg {
		return
	}
	if class := os.Args[2]; class != "=" {
		b := append([]byte(class), 0)
		if _, _, errno := unix.Syscall(unix.SYS_SETLOGINCLASS, uintptr(unsafe.Pointer(&b[0])), 0, 0); errno != 0 {
			fmt.Println(errno)
			os.Exit(1)
		}
		syscall.Exec(os.Args[0], []string{os.Args[0], limitedArg, "=", os.Args[3]}, nil)
	}
	limitedRoles[os.Args[3]]()
	os.Exit(0)
}

var limitedRoles = map[string]func(){
	"wait": func() {
		fmt.Println("ready")
		select {}
	},
	"fork": func() {
		r, _, err := os.Pipe() // closed by the end of this process
		if err != nil {
			fmt.Println(err)
			return
		}
		for made := 0; ; made++ {
			attr := &syscall.ProcAttr{Files: []uintptr{r.Fd(), 1, 2}}
			if _, err := syscall.ForkExec(os.Args[0], []string{os.Args[0], limitedArg, "=", "wait in silence"}, attr); err != nil || made == 50 {
				fmt.Println(made, err)
				return
			}
		}
	},
	"wait in silence": func() { io.Copy(io.Discard, os.Stdin) },
	"sleep":           func() { time.Sleep(time.Hour) },
	"family": func() { // two that leave its session
		for range 2 {
			syscall.ForkExec(os.Args[0], []string{os.Args[0], limitedArg, "=", "sleep"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
		}
		time.Sleep(time.Hour)
	},
	"threads": func() {
		for range 50 {
			go func() {
				runtime.LockOSThread()
				select {}
			}()
			runtime.Gosched()
		}
		fmt.Println("all there")
	},
	"eat": func() {
		signal.Ignore(unix.SIGTERM)
		const size = 256 << 20
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("ready")
		for { // keep all of it resident
			for i := 0; i < size; i += 4096 {
				b[i]++
			}
			time.Sleep(10 * time.Millisecond)
		}
	},
}

// limited starts a role in a class.
func limited(t *testing.T, class, role string) (pid int, output *os.File) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	pid, err = syscall.ForkExec(self, []string{self, limitedArg, class, role}, &syscall.ProcAttr{Files: []uintptr{0, w.Fd(), w.Fd()}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return pid, r
}

func read(t *testing.T, r *os.File) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := r.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// wait returns how a process ended.
func wait(t *testing.T, pid int) syscall.WaitStatus {
	t.Helper()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return status
}

// eventually looks until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// limitSpec has a group for itself with settings of a controller, in pairs.
func limitSpec(group, controller string, settings ...string) *job.Spec {
	name := job.CgroupName{Name: group}
	for i := 0; i < len(settings); i += 2 {
		name.Settings = append(name.Settings, job.Setting{Key: settings[i], Value: settings[i+1]})
	}
	return &job.Spec{Attrs: job.Attrs{Cgroups: []job.Cgroup{{Controller: controller, Names: []job.CgroupName{name}}}}}
}

// limiter is the isolation of a manager of this test.
func limiter(t *testing.T) (*isolation, *[]string) {
	t.Helper()
	if enabled, err := unix.SysctlRaw("kern.racct.enable"); err != nil || enabled[0] == 0 {
		t.Skip("the kernel counts nothing: kern.racct.enable")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may limit")
	}
	var notices []string
	i := newIsolation("onset-test", func(text string) { t.Error(text) }, func(_ uint64, text string) { notices = append(notices, text) })
	t.Cleanup(func() {
		if rules := rulesOf(t); len(rules) > 0 {
			t.Errorf("rules are left: %v", rules)
			rctl(unix.SYS_RCTL_REMOVE_RULE, "loginclass:")
		}
	})
	return i, &notices
}

func rulesOf(t *testing.T) (rules []string) {
	t.Helper()
	text, err := rctl(unix.SYS_RCTL_GET_RULES, "loginclass:")
	if err != nil {
		t.Fatal(err)
	}
	for rule := range strings.SplitSeq(text, ",") {
		if strings.HasPrefix(rule, "loginclass:onset-test") {
			rules = append(rules, rule)
		}
	}
	slices.Sort(rules)
	return rules
}

func mustPlace(t *testing.T, i *isolation, token uint64, s *job.Spec) string {
	t.Helper()
	classes, err := i.place(token, s)
	if err != nil || len(classes) != 1 {
		t.Fatalf("place: %v, %v", classes, err)
	}
	return classes[0]
}

func TestRulesComeAndGo(t *testing.T) {
	i, notices := limiter(t)
	class := mustPlace(t, i, 1, limitSpec("upstart/web", "memory", "limit_in_bytes", "1G", "high", "900M", "swappiness", "3"))
	want := []string{"loginclass:onset-test/web:memoryuse:deny=943718400", "loginclass:onset-test/web:memoryuse:log=1073741824", "loginclass:onset-test/web:memoryuse:sigkill=1073741824"}
	if got := rulesOf(t); !slices.Equal(got, want) || class != "onset-test/web" {
		t.Errorf("%s: %v", class, got)
	}
	if want := []string{"cgroup memory swappiness has no effect: the kernel has no such limit"}; !slices.Equal(*notices, want) {
		t.Errorf("told %q", *notices)
	}
	mustPlace(t, i, 2, limitSpec("upstart/web", "memory", "limit_in_bytes", "2G", "high", "max"))
	want = []string{"loginclass:onset-test/web:memoryuse:log=2147483648", "loginclass:onset-test/web:memoryuse:sigkill=2147483648"}
	if got := rulesOf(t); !slices.Equal(got, want) {
		t.Errorf("changed to %v", got)
	}
	i.release(1)
	if got := rulesOf(t); len(got) != 2 {
		t.Errorf("in use by another: %v", got)
	}
	pid, out := limited(t, class, "wait")
	read(t, out)
	i.release(2)
	if got := rulesOf(t); len(got) != 2 {
		t.Errorf("in use by a process: %v", got)
	}

	next := newIsolation("onset-test", func(text string) { t.Error(text) }, func(uint64, string) {})
	next.takeOver(map[uint64]bool{2: true})
	if got := rulesOf(t); len(got) != 2 {
		t.Errorf("taken over: %v", got)
	}
	unix.Kill(pid, unix.SIGKILL)
	wait(t, pid)
	next.release(2)
	if got := rulesOf(t); len(got) != 0 {
		t.Errorf("nothing is in %v", got)
	}
}

func TestRulesLeftByAManager(t *testing.T) {
	i, _ := limiter(t)
	mustPlace(t, i, 1, limitSpec("batch", "cpu", "max", "20000 100000"))
	if got, want := rulesOf(t), []string{"loginclass:onset-test.batch:pcpu:deny=20"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	other := newIsolation("onset-test2", func(text string) { t.Error(text) }, func(uint64, string) {})
	other.takeOver(nil)
	if len(rulesOf(t)) != 1 {
		t.Error("another init takes what is not its own")
	}
	next := newIsolation("onset-test", func(text string) { t.Error(text) }, func(uint64, string) {})
	next.takeOver(nil)
	if got := rulesOf(t); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestForkLimit(t *testing.T) {
	i, _ := limiter(t)
	class := mustPlace(t, i, 1, limitSpec("upstart/forks", "pids", "maxproc", "5"))
	pid, out := limited(t, class, "fork")
	if got := read(t, out); got != "4 resource temporarily unavailable\n" {
		t.Errorf("forks and gets %q", got)
	}
	wait(t, pid)
	eventually(t, "processes of the class live on", func() bool { return empty(class) })
	i.release(1)
}

func TestThreadLimit(t *testing.T) {
	i, _ := limiter(t)
	class := mustPlace(t, i, 1, limitSpec("upstart/threads", "pids", "max", "20"))
	pid, out := limited(t, class, "threads")
	text := read(t, out)
	if status := wait(t, pid); status.ExitStatus() == 0 || !strings.Contains(text, "failed to create new OS thread") {
		t.Errorf("ends with %v: %s", status, text)
	}
	i.release(1)
}

func TestMemoryLimit(t *testing.T) {
	i, _ := limiter(t)
	class := mustPlace(t, i, 1, limitSpec("upstart/eater", "memory", "max", "64M"))
	pid, _ := limited(t, class, "eat")
	if status := wait(t, pid); status.Signal() != unix.SIGKILL {
		t.Errorf("ends with %v", status)
	}
	if !i.starved(1, pid) || i.starved(1, pid+100000) || i.starved(2, pid) {
		t.Errorf("told as starved: %v, %v, %v", i.starved(1, pid), i.starved(1, pid+100000), i.starved(2, pid))
	}
	pid, out := limited(t, class, "wait")
	read(t, out)
	unix.Kill(pid, unix.SIGKILL)
	wait(t, pid)
	if i.starved(1, pid) {
		t.Error("one that was killed counts as starved")
	}
	i.release(1)
}

func TestRefusedLimits(t *testing.T) {
	i, _ := limiter(t)
	for _, c := range []struct {
		spec   *job.Spec
		reason string
	}{
		{limitSpec("upstart/x", "memory", "max", "much"), "unable to setup cgroup: max: Invalid argument"},
		{limitSpec("upstart/x", "cpu", "cfs_quota_us", "5", "cfs_period_us", "0"), "unable to setup cgroup: cfs_quota_us: Invalid argument"},
		{limitSpec("..", "memory", "max", "1G"), "unable to setup cgroup: ..: Invalid argument"},
		{limitSpec("$UNKNOWN", "memory", "max", "1G"), "unable to setup cgroup: $UNKNOWN: Invalid argument"},
	} {
		_, err := i.place(1, c.spec)
		if err == nil || err.Error() != c.reason {
			t.Errorf("%+v: %v", c.spec.Attrs.Cgroups, err)
		}
		i.release(1)
	}
}

func TestOneGroupOnly(t *testing.T) {
	i, notices := limiter(t)
	s := limitSpec("upstart/x", "memory", "max", "1G")
	s.Attrs.Cgroups = append(s.Attrs.Cgroups, limitSpec("shared", "pids", "max", "50").Attrs.Cgroups...)
	if class := mustPlace(t, i, 1, s); class != "onset-test.shared" {
		t.Errorf("is in %s", class)
	}
	if want := []string{"cgroup memory upstart/x has no effect: the job is in shared"}; !slices.Equal(*notices, want) {
		t.Errorf("told %q", *notices)
	}
	i.release(1)
}

// TestNobodyCounts is what becomes of limits where the kernel has none.
func TestNobodyCounts(t *testing.T) {
	if enabled, err := unix.SysctlRaw("kern.racct.enable"); err == nil && enabled[0] != 0 && os.Geteuid() == 0 {
		t.Skip("the kernel counts: kern.racct.enable")
	}
	var notices []string
	i := newIsolation("onset-test", func(text string) { t.Error(text) }, func(_ uint64, text string) { notices = append(notices, text) })
	classes, err := i.place(1, limitSpec("upstart/x", "memory", "max", "1G", "high", "1G"))
	if err != nil || classes != nil || len(notices) != 1 || !strings.HasPrefix(notices[0], "cgroup memory has no effect: ") {
		t.Errorf("got %v, %v, %q", classes, err, notices)
	}
	i.release(1)
	i.takeOver(nil)
}

func TestLimitOf(t *testing.T) {
	for _, c := range []struct {
		controller string
		settings   []string // the first is asked for
		want       string
	}{
		{"memory", []string{"memory.max", "10M"}, "memoryuse log,sigkill 10485760"},
		{"memory", []string{"limit_in_bytes", "-1"}, "memoryuse log,sigkill none"},
		{"memory", []string{"vmemoryuse", "1G"}, "vmemoryuse deny 1073741824"},
		{"memory", []string{"swap.max", "1G"}, "unknown"},
		{"cpu", []string{"cfs_quota_us", "150000"}, "pcpu deny 150"},
		{"cpu", []string{"cfs_period_us", "50000", "cfs_quota_us", "25000"}, "pcpu deny 50"},
		{"cpu", []string{"cpu.max", "max"}, "pcpu deny none"},
		{"cpu", []string{"max", "100 1000000"}, "pcpu deny 1"},
		{"cpu", []string{"shares", "100"}, "unknown"},
		{"io", []string{"readbps", "1M"}, "readbps throttle 1048576"},
		{"pids", []string{"max", "9"}, "nthr deny 9"},
		{"pids", []string{"max", "99999999999999999999"}, "invalid argument"},
		{"freezer", []string{"state", "FROZEN"}, "unknown"},
	} {
		all := limitSpec("", c.controller, c.settings...).Attrs.Cgroups[0].Names[0].Settings
		l, ok, err := limitOf(c.controller, all[0], all)
		amount := strconv.FormatUint(l.amount, 10)
		if l.amount == unlimited {
			amount = "none"
		}
		got := l.resource + " " + strings.Join(l.actions, ",") + " " + amount
		switch {
		case err != nil:
			got = err.Error()
		case !ok:
			got = "unknown"
		}
		if got != c.want {
			t.Errorf("%s %v: %s, want %s", c.controller, c.settings, got, c.want)
		}
	}
}

func TestClassNames(t *testing.T) {
	r := &rules{name: "onset"}
	for group, want := range map[string]string{
		"upstart/web": "onset/web", "web": "onset.web", "a//b/../c": "onset.a/c", "upstart/": "onset.upstart",
		"upstart/a:b":                          "",
		"upstart/" + strings.Repeat("long", 9): "",
	} {
		class, ok := r.class(group)
		hashed := want == ""
		if !ok || hashed && len(class) != maxClass || !hashed && class != want || !r.isClass(class) {
			t.Errorf("%q is %q, %v", group, class, ok)
		}
	}
	if a, _ := r.class("upstart/a:b"); strings.Contains(a, ":") {
		t.Errorf("a class %q cannot be in a rule", a)
	}
}
