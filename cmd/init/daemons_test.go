//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var onlyDaemons = flag.String("daemons", "", "names of the daemons to start, in place of all")

// expectations are the lines tried with each way of starting a daemon. What
// is no protocol of the daemon's would be waited for longer.
var expectations = []string{
	"expect none", "expect fork", "expect daemon",
	"expect stop\nexpect timeout 20", "expect listen\nexpect timeout 20", "expect notify\nexpect timeout 20",
	"expect dbus " + busName + "\nexpect timeout 20",
}

// busName is what one of the daemons is called on the message bus. The others
// are not on it.
const busName = "uk.org.thekelleys.dnsmasq"

// trial is a daemon started in one way with one expect line, and what came of
// it.
type trial struct {
	d      daemon
	way    way
	expect string

	m          *machine
	started    string // what initctl start had to say
	supervised string
	advice     string
	stopped    string
	killed     string
}

// TestDaemons starts Debian's daemons as their packages do, with right and
// wrong expect lines, and compares what comes of it with docs/TRACKING.md.
func TestDaemons(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start the daemons of a system")
	}
	root, err := filepath.Abs("../../bin/daemons")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "made")); err != nil {
		t.Skip("no daemons: make needs unpacks them, from Debian packages alone: ", err)
	}
	var trials []*trial
	var group sync.WaitGroup
	atOnce := make(chan struct{}, 6)
	for _, expect := range expectations {
		for n := range 3 {
			batch := batchOf(expect, n)
			if len(batch) == 0 {
				continue
			}
			trials = append(trials, batch...)
			name := fmt.Sprint(strings.ReplaceAll(strings.Fields(expect)[1], " ", "-"), "/", n)
			group.Go(func() {
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				t.Run(name, func(t *testing.T) { tryBatch(t, filepath.Join(root, "root"), batch) })
			})
		}
	}
	group.Wait()
	if !*update && *onlyDaemons == "" {
		tryAgain(t, filepath.Join(root, "root"), trials)
	}
	if t.Failed() {
		return
	}
	for _, r := range trials {
		if text := r.wrong(); r.m != nil && text != "" {
			t.Errorf("%s, %s, %s: %s", r.d.name, r.way.run, r.expect, text)
		}
	}
	if *onlyDaemons != "" {
		t.Log(trackingTable(trials))
		return
	}
	compareTracking(t, trackingTable(trials))
}

// tryAgain tries those alone whose row is not in the table: with all the others,
// a daemon may take longer to start than init waits for one.
func tryAgain(t *testing.T, root string, trials []*trial) {
	was := readTracking(t)
	for _, r := range trials {
		for n := 1; n < attempts && !t.Failed() && r.wrong() == "" && !r.isIn(was); n++ {
			t.Logf("%s, %s, attempt %d: %s", r.d.name, r.way.run, n, r.row())
			*r = trial{d: r.d, way: r.way, expect: r.expect}
			t.Run("again", func(t *testing.T) { tryBatch(t, root, []*trial{r}) })
		}
	}
}

// batchOf returns the trials of each daemon's nth way of being started.
func batchOf(expect string, n int) (batch []*trial) {
	for _, d := range daemons {
		onBus := strings.Contains(expect, busName)
		if n < len(d.ways) && (!onBus || d.name == "dnsmasq") && (*onlyDaemons == "" || slices.Contains(strings.Fields(*onlyDaemons), d.name)) {
			batch = append(batch, &trial{d: d, way: d.ways[n], expect: expect})
		}
	}
	return batch
}

// tryBatch starts a machine on the daemons' root and tries all at once.
func tryBatch(t *testing.T, root string, batch []*trial) {
	t.Helper()
	jobs := map[string]string{"bus.conf": "expect listen\npre-start exec mkdir -p /run/dbus\nexec dbus-daemon --config-file=" + c + "dbus.conf --nofork\n"}
	for _, r := range batch {
		jobs[r.d.name+".conf"] = r.job()
	}
	configs, err := filepath.Abs("testdata/daemons")
	if err != nil {
		t.Error(err)
		return
	}
	m := startMachineOn(t, jobs, strings.NewReplacer("LOWER", root, "PROGRAMS", programs, "CONFIGS", configs).Replace(daemonRoot))
	m.loopbackUp()
	if strings.Contains(batch[0].expect, busName) {
		m.must("start", "bus")
	}
	var group sync.WaitGroup
	for _, r := range batch {
		r.m = m
		group.Go(r.run)
	}
	group.Wait()
	if *onlyDaemons != "" {
		for _, r := range batch {
			text, _ := os.ReadFile(filepath.Join(m.dir, "log", r.d.name+".log"))
			t.Logf("%s, %q:\n%s", r.d.name, r.expect, text)
		}
		logs, _ := filepath.Glob(m.path("/tmp/*.log"))
		for _, file := range logs {
			text, _ := os.ReadFile(file)
			t.Logf("%s:\n%s", file, text)
		}
		t.Log(m.log.String())
	}
}

// daemonRoot gives the machine a root with the daemons, whose changes are
// forgotten, and a /dev of its own.
const daemonRoot = `
mkdir DIR/over DIR/root
mount -t tmpfs tmpfs DIR/over
mkdir DIR/over/up DIR/over/work
mount -t overlay -o lowerdir=LOWER,upperdir=DIR/over/up,workdir=DIR/over/work overlay DIR/root
cp -r CONFIGS DIR/root/etc/onset
cd DIR/root
mkdir -p .DIR/ .PROGRAMS old
mount --bind DIR/ .DIR/
mount --bind PROGRAMS .PROGRAMS
mount --rbind /proc proc
mount --rbind /sys sys
mount -t tmpfs tmpfs dev
for name in null zero full random urandom tty kmsg; do
	: >dev/$name
	mount --bind /dev/$name dev/$name
done
mkdir dev/shm dev/pts
chmod 1777 dev/shm
mount -t devpts -o ptmxmode=666,newinstance devpts dev/pts
ln -s pts/ptmx dev/ptmx
pivot_root . old
umount -l old
`

// loopbackUp gives the machine the address 127.0.0.1.
func (m *machine) loopbackUp() {
	err := m.inNetwork(func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		request, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
	})
	if err != nil {
		m.t.Error(err)
	}
}

// job is the job file of the trial.
func (r *trial) job() string {
	return r.expect + "\nenv ONSET_ROW=" + r.d.name + "\nenv LC_ALL=C\nenv PATH=/usr/sbin:/usr/bin:/sbin:/bin\nkill timeout 10\n" +
		r.way.stanzas + "pre-start script\n" + r.d.prepare + "\ntrue\nend script\n" + r.way.run + "\n"
}

// run tries to start, stop, start and kill the daemon.
func (r *trial) run() {
	r.stopped, r.killed = "-", "-"
	target, pid := r.start()
	r.supervised = r.describe(target, pid)
	if r.advice = r.advised(); r.way.mainPID && strings.HasPrefix(r.expect, "expect notify") {
		r.advice = ""
	}
	if pid == 0 {
		return
	}
	group := r.m.processes()[pid].group
	if out, err := r.m.run("initctl", "stop", r.d.name); err != nil {
		r.stopped = "fails: " + normal(out)
		return
	}
	r.stopped = "all ended"
	if left := r.left(group); len(left) > 0 {
		r.stopped = "leaves " + strings.Join(left, ", ")
	}
	if target != pid || r.stopped != "all ended" {
		return
	}
	if target, pid = r.start(); pid == 0 || target != pid {
		r.killed = "started again: " + r.describe(target, pid)
		return
	}
	r.killed = "unnoticed"
	if out, err := r.m.inside("kill", "-9", strconv.Itoa(pid)); err != nil {
		r.killed = "fails: " + out
	} else if r.until(func() bool { now, _ := r.status(); return now != pid }) {
		r.killed = "noticed"
	}
}

// start starts the job and waits until init supervises the process it should,
// or nothing. It returns the numbers of both processes; 0 is none.
func (r *trial) start() (target, pid int) {
	if r.d.pidFile != "" {
		os.Remove(r.m.path(r.d.pidFile))
	}
	r.started = "succeeds"
	if out, err := r.m.run("initctl", "start", r.d.name); err != nil {
		r.started = "fails: " + normal(out)
	}
	r.until(func() bool {
		var rests bool
		pid, rests = r.status()
		now := r.m.processes()
		target = r.target(now)
		return pid != 0 && (pid == target || now[pid].stopped) || rests && (target != 0 || !r.anything(now))
	})
	return target, pid
}

// until waits for something and returns whether it came.
func (r *trial) until(is func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

var (
	runningProcess = regexp.MustCompile(`start/running, process (\d+)`)
	numbers        = regexp.MustCompile(` \(\d+\)| process \d+`)
)

// normal leaves out what differs from one time to the next.
func normal(text string) string {
	return strings.TrimSpace(numbers.ReplaceAllString(strings.TrimSpace(text), ""))
}

// status returns the process number of the running job, or 0, and whether the
// job rests.
func (r *trial) status() (pid int, rests bool) {
	out, _ := r.m.run("initctl", "status", r.d.name)
	if m := runningProcess.FindStringSubmatch(out); m != nil {
		pid, _ = strconv.Atoi(m[1])
	}
	return pid, strings.Contains(out, " stop/waiting")
}

// target returns the process that init should supervise, once the daemon
// runs: its topmost process, which has written its number down, or what stays
// in front of it.
func (r *trial) target(now map[int]process) int {
	for pid, p := range now {
		if p.program != r.d.program || now[p.parent].program == r.d.program || !r.way.silent && !r.wrote(pid) {
			continue
		}
		if r.way.wrapper != "" {
			return p.parent
		}
		return pid
	}
	return 0
}

// wrote tells whether the file of the daemon has this number.
func (r *trial) wrote(pid int) bool {
	text, err := os.ReadFile(r.m.path(r.d.pidFile))
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(text))+"\n", strconv.Itoa(pid)+"\n")
}

// anything tells whether a process of the trial lives.
func (r *trial) anything(now map[int]process) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(now)), func(p process) bool { return p.row == r.d.name })
}

func (r *trial) describe(target, pid int) string {
	now := r.m.processes()
	p, lives := now[pid]
	switch {
	case pid == 0 && target == 0:
		return "nothing"
	case pid == 0:
		return "nothing; the daemon lives on"
	case !lives:
		return "a dead process"
	case pid == target && r.way.wrapper != "":
		return r.way.wrapper
	case pid == target:
		return "the daemon"
	case p.stopped:
		return "the daemon, which has stopped itself"
	default:
		return "another process: " + p.program
	}
}

// left names what lives in a cgroup or has the mark of the trial.
func (r *trial) left(group string) (programs []string) {
	for _, p := range r.m.processes() {
		if p.row == r.d.name || strings.HasPrefix(p.group+"/", group+"/") {
			programs = append(programs, p.program)
		}
	}
	slices.Sort(programs)
	return programs
}

// advised returns what init says about the expect line. An event of the
// trial's own in the log tells that all before it is there.
func (r *trial) advised() string {
	r.m.must("emit", "told-"+r.d.name)
	r.until(func() bool { return strings.Contains(r.m.log.String(), "told-"+r.d.name) })
	var said []string
	for line := range strings.Lines(r.m.log.String()) {
		_, text, found := strings.Cut(line, "init: "+r.d.name+" ")
		if found && strings.Contains(text, "expect") && strings.HasPrefix(line, "<4>") {
			if i := strings.LastIndex(text, ": "); i >= 0 {
				text = text[i+2:]
			}
			if text = normal(text); !slices.Contains(said, text) {
				said = append(said, text)
			}
		}
	}
	return strings.Join(said, "; ")
}

// process is one of the machine.
type process struct {
	parent  int
	program string // name of its executable
	stopped bool
	group   string
	row     string // ONSET_ROW of its environment
}

// path is where a file of the machine is to be found outside.
func (m *machine) path(inside string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.cmd.Process.Pid, inside)
}

// processes returns what lives in the machine, by its number there.
func (m *machine) processes() map[int]process {
	all := map[int]process{}
	dirs, _ := filepath.Glob(m.path("/proc/[0-9]*"))
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		stat, _ := os.ReadFile(dir + "/stat")
		exe, err := os.Readlink(dir + "/exe")
		rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if err != nil || len(rest) < 2 || rest[0] == "Z" || rest[0] == "X" {
			continue
		}
		p := process{program: filepath.Base(exe), stopped: rest[0] == "T"}
		p.parent, _ = strconv.Atoi(rest[1])
		group, _ := os.ReadFile(dir + "/cgroup")
		_, p.group, _ = strings.Cut(strings.TrimSpace(string(group)), "0::")
		env, _ := os.ReadFile(dir + "/environ")
		for v := range strings.SplitSeq(string(env), "\x00") {
			if value, found := strings.CutPrefix(v, "ONSET_ROW="); found {
				p.row = value
			}
		}
		all[pid] = p
	}
	return all
}

// wrong tells what no expect line may lead to.
func (r *trial) wrong() string {
	switch {
	case r.supervised == "a dead process":
		return "init watches " + r.supervised
	case r.stopped != "-" && r.stopped != "all ended":
		return "stop " + r.stopped
	case r.killed != "-" && r.killed != "noticed":
		return "the end of the daemon: " + r.killed
	}
	return ""
}
