//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asked is what jobs ask for, and what in a shell is true when they have got
// it.
var asked = []struct{ stanzas, probe string }{
	{"expect listen", ""},
	{"expect notify", ""},
	{"expect fd 3", ""},
	{"expect fork", ""},
	{"cgroup memory limit_in_bytes 100000000", ""},
	{"cgroup pids max 50", ""},
	{"namespace mount", newNamespace("mnt")},
	{"namespace pid", "[ $$ = 1 ]"},
	{"namespace net", newNamespace("net")},
	{"namespace uts", newNamespace("uts")},
	{"namespace ipc", newNamespace("ipc")},
	{"namespace user", newNamespace("user")},
	{"namespace cgroup", newNamespace("cgroup")},
	{"namespace time", newNamespace("time")},
	{"namespace optional net", newNamespace("net")},
	{"private tmp", `[ -z "$(ls /tmp)" ]`},
	{"private dev", "[ ! -e /dev/kmsg ]"},
	{"private network", newNamespace("net")},
	{"readonly /etc", "grep -q ' /etc [^ ]* ro' /proc/self/mounts"},
	{"hide DIR/secret", "[ ! -e DIR/secret/file ]"},
	{"bind DIR/secret DIR/empty", "[ -e DIR/empty/file ]"},
	{"capability bounding chown kill", `[ "$(sed -n 's/^CapBnd:.0*//p' /proc/self/status)" = 21 ]`},
	{"capability ambient net_raw", `[ "$(sed -n 's/^CapAmb:.0*//p' /proc/self/status)" = 2000 ]`},
	{"no new privileges", "grep -q 'NoNewPrivs:.1' /proc/self/status"},
	{"seccomp @default", "grep -q 'Seccomp:.2' /proc/self/status"},
	{"setgroups daemon", `[ "$(sed -n 's/^Groups:.//p' /proc/self/status | tr -d ' ')" = 1 ]`},
	{"credential key DIR/secret/file", `[ "$(cat $CREDENTIALS_DIRECTORY/key)" = FROM_FILE=x ]`},
	{"env file DIR/secret/file", `[ "$FROM_FILE" = x ]`},
	{"ioprio idle", `[ "$(ionice -p $$)" = idle ]`},
	{"cpu affinity 0", "grep -q 'Cpus_allowed_list:.0$' /proc/self/status"},
	{"health exec true", ""},
	{"watchdog 60", ""},
	{"respawn delay 1", ""},
	{"start timeout 60", ""},
	{"stop timeout 60", ""},
	{"sched batch", "chrt -p $$ | grep -q SCHED_BATCH"},
	{"sched fifo 5", "chrt -p $$ | grep -q SCHED_FIFO"},
}

func newNamespace(kind string) string {
	return fmt.Sprintf(`[ "$(readlink /proc/self/ns/%s)" != "$(cat DIR/%[1]s)" ]`, kind)
}

// services are the ways in which jobs without a probe tell that they are
// ready; the others just run.
var services = map[string]string{
	"expect listen": "exec env ONSET_ESCAPE=listener SELF\n",
	"expect notify": "exec env ONSET_ESCAPE=notifier SELF\n",
	"watchdog 60":   "expect notify\nexec env ONSET_ESCAPE=notifier SELF\n",
	"expect fd 3":   "script\n\techo >&3\n\texec sleep 100000\nend script\n",
	"expect fork":   "script\n\tsleep 100000 &\nend script\n",
}

// jobName is the name of the job that asks for something.
func jobName(stanzas string) string {
	name, _, _ := strings.Cut(stanzas, " DIR")
	return strings.NewReplacer(" ", "-", "/", "").Replace(name)
}

// absentJobs are the jobs of the matrix, and what they need is in the folder.
func absentJobs() map[string]string {
	jobs := map[string]string{}
	for _, a := range asked {
		text := a.stanzas + "\n"
		if service, ok := services[a.stanzas]; ok {
			text += service
		} else if a.probe != "" {
			text += "task\nscript\n\tif " + a.probe + "; then echo in effect; else echo without effect; fi\nend script\n"
		} else {
			text += "exec sleep 100000\n"
		}
		jobs[jobName(a.stanzas)+".conf"] = text
	}
	return jobs
}

// place is an init where something is not there.
type place struct {
	name   string
	groups bool // there may be cgroups, with what controllers the machine has
	start  func(t *testing.T, jobs map[string]string) *inPlace
}

// inPlace is what a test needs of an init.
type inPlace struct {
	dir      string // with log
	run      func(args ...string) (string, error)
	messages func() string
	read     int // times that said was called
}

var places = []place{
	{"everything there", true, func(t *testing.T, jobs map[string]string) *inPlace { return machinePlace(t, jobs, ":") }},
	{"cgroups read-only", false, func(t *testing.T, jobs map[string]string) *inPlace {
		return machinePlace(t, jobs, "mount -o remount,ro,bind /sys/fs/cgroup")
	}},
	{"no seccomp", true, func(t *testing.T, jobs map[string]string) *inPlace {
		return machinePlace(t, jobs, `exec env ONSET_ESCAPE=noseccomp SELF "$0" "$@"`)
	}},
	{"no ptrace, as with yama's ptrace_scope 3", true, func(t *testing.T, jobs map[string]string) *inPlace {
		return machinePlace(t, jobs, `exec env ONSET_ESCAPE=noptrace SELF "$0" "$@"`)
	}},
	{"session in a PID namespace", true, func(t *testing.T, jobs map[string]string) *inPlace {
		return sessionPlace(t, jobs, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}, // the address of process 1 is everybody's
			"sh", "-ec", `mount --make-rprivate /; mount -t proc proc /proc; exec "$@"`, "sh")
	}},
	{"session of a user", false, func(t *testing.T, jobs map[string]string) *inPlace {
		return sessionPlace(t, jobs, &syscall.SysProcAttr{Credential: &nobody})
	}},
	{"session of a user without user namespaces", false, func(t *testing.T, jobs map[string]string) *inPlace {
		all := []syscall.SysProcIDMap{{Size: 1 << 16}}
		return sessionPlace(t, jobs, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true},
			"sh", "-ec", `echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`, "sh")
	}},
}

// furnish puts what the jobs need into the folder.
func furnish(t *testing.T, dir string, pid int) {
	t.Helper()
	err := os.WriteFile(filepath.Join(dir, "secret", "file"), []byte("FROM_FILE=x\n"), 0o644)
	for _, kind := range []string{"mnt", "net", "uts", "ipc", "user", "cgroup", "time"} {
		if err != nil {
			break
		}
		var own string
		if own, err = os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind)); err == nil {
			err = os.WriteFile(filepath.Join(dir, kind), []byte(own), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// furnished makes a folder with this test's binary, which anybody may read.
func furnished(t *testing.T) (dir, self string) {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "onset-absent")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	for _, d := range []string{"secret", "empty"} {
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, d), 0o755)
		}
	}
	self = filepath.Join(dir, "self")
	if err == nil {
		err = copyProgram("/proc/self/exe", self)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, self
}

// moved has the job files name the folder.
func moved(jobs map[string]string, dir, self string) map[string]string {
	out := map[string]string{}
	for name, text := range jobs {
		out[name] = strings.NewReplacer("DIR/", dir+"/", "SELF", self).Replace(text)
	}
	return out
}

func machinePlace(t *testing.T, jobs map[string]string, prepare string) *inPlace {
	dir, self := furnished(t)
	m := startMachineOn(t, moved(jobs, dir, self), strings.ReplaceAll(prepare, "SELF", self))
	furnish(t, dir, m.awaitManager())
	return &inPlace{dir: m.dir, messages: m.log.String, run: func(args ...string) (string, error) { return m.run("initctl", args...) }}
}

func sessionPlace(t *testing.T, jobs map[string]string, attr *syscall.SysProcAttr, before ...string) *inPlace {
	dir, self := furnished(t)
	state := filepath.Join(dir, "session")
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	attr.Pdeathsig = syscall.SIGKILL
	s := startSessionAs(t, state, "", moved(jobs, dir, self), attr, before...)
	s.run("log-priority", "info")
	furnish(t, dir, s.cmd.Process.Pid)
	return &inPlace{dir: state, messages: s.messages, run: func(args ...string) (string, error) {
		out, err := s.initctl(args...).CombinedOutput()
		return string(out), err
	}}
}

// TestAbsent runs jobs that ask for things where these are not to be had, and
// compares what comes of it with testdata/absent.txt: a job goes without, which
// is told once, or is refused (EXTENSIONS §§4-6).
func TestAbsent(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make the places")
	}
	var group sync.WaitGroup
	found := make([]string, len(places))
	for i, p := range places {
		group.Go(func() {
			t.Run(p.name, func(t *testing.T) { found[i] = "== " + p.name + "\n" + p.start(t, absentJobs()).ask(t, p.groups) })
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	text := strings.Join(found, "\n")
	if *update {
		if err := os.WriteFile("testdata/absent.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile("testdata/absent.txt")
	if err != nil {
		t.Fatal(err)
	}
	compareLines(t, "testdata/absent.txt", string(was), text, func(line string) bool { return strings.HasPrefix(line, "== ") })
}

// ask runs each job twice and tells what came of it. Where there are cgroups,
// those are for other tests.
func (p *inPlace) ask(t *testing.T, groups bool) string {
	var b strings.Builder
	for _, a := range asked {
		if groups && strings.HasPrefix(a.stanzas, "cgroup ") {
			continue
		}
		name := jobName(a.stanzas)
		outcome := p.try(t, name, a.probe != "")
		if again := p.try(t, name, a.probe != ""); again != outcome {
			t.Errorf("%s: at first %s, then %s", a.stanzas, outcome, again)
		}
		fmt.Fprintf(&b, "%s: %s\n", a.stanzas, outcome)
		for _, text := range p.said(t, name) {
			fmt.Fprintf(&b, "\t%s\n", strings.ReplaceAll(text, p.dir, "DIR"))
		}
	}
	return b.String()
}

// try runs a job. That of a task that probes prints what it finds.
func (p *inPlace) try(t *testing.T, name string, probes bool) string {
	file := filepath.Join(p.dir, "log", name+".log")
	os.Truncate(file, 0)
	if out, err := p.run("start", name); err != nil {
		return "refused: " + normal(out)
	}
	if !probes {
		if out, err := p.run("stop", name); err != nil {
			t.Errorf("stop %s: %s", name, out)
		}
		return "runs"
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		if i := bytes.LastIndex(text, []byte("effect")); i >= 0 {
			return string(bytes.TrimSpace(bytes.Trim(text, "\x00")))
		}
	}
	return "runs and prints nothing"
}

var usual = regexp.MustCompile(`(state|goal) changed|main process \(\d+\)( exited normally| killed by TERM signal)?$|^Sending |became new process|left \d+ processes behind$`)

var noEffect = regexp.MustCompile(`(cgroup \w+ has no effect:) .*`) // why depends on the machine

// said returns what init said of a job but for its usual doings. Notices are
// for once.
func (p *inPlace) said(t *testing.T, name string) (texts []string) {
	p.read++
	event := fmt.Sprintf("read-%d", p.read)
	p.run("emit", event) // which is told behind all that was said, and read by another goroutine
	log := ""
	for deadline := time.Now().Add(patience); !strings.Contains(log, "Handling "+event+" event"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for what init says of the event %s", event)
		}
		log = p.messages()
	}
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		_, text, prefixed := strings.Cut(line, "init: ")
		if !prefixed {
			text = line
		}
		if !slices.Contains(strings.Fields(text), name) || usual.MatchString(text) {
			continue
		}
		if text = noEffect.ReplaceAllString(normal(text), "$1 ERROR"); !slices.Contains(texts, text) {
			texts = append(texts, text)
		} else if !prefixed || strings.HasPrefix(line, "<6>") {
			t.Errorf("said twice: %s", text)
		}
	}
	return texts
}

// compareLines names each line that a file should have and has not, with the
// heading above it.
func compareLines(t *testing.T, file, was, is string, heading func(line string) bool) {
	t.Helper()
	before, after := strings.Split(was, "\n"), strings.Split(is, "\n")
	above := ""
	for i, line := range after {
		if heading(line) {
			above = line
		}
		if i >= len(before) || before[i] != line {
			t.Errorf("%s (-update writes it): %s\nis:  %s\nwas: %s", file, above, line, before[min(i, len(before)-1)])
		}
	}
	if len(before) > len(after) {
		t.Errorf("%s has %d lines too many", file, len(before)-len(after))
	}
}
