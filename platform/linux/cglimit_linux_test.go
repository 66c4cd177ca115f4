package linux

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
)

// limitWorld is a back end with its root in a group that no process is in, and
// what it said that jobs have to do without.
type limitWorld struct {
	*groupWorld
	notices []string
}

func newLimitWorld(t *testing.T) *limitWorld {
	t.Helper()
	own := cgroupRoot(t)
	// It stays on, since other tests may run at the same time.
	put(own+"/../cgroup.subtree_control", "+hugetlb")
	w := &limitWorld{groupWorld: &groupWorld{T: t, root: own + "/" + filepath.Base(own), dir: t.TempDir()}}
	os.Mkdir(w.root, 0o755)
	t.Cleanup(func() { RemoveCgroups(w.root) })
	w.restart()
	return w
}

// restart makes a back end as a manager does whose predecessor died.
func (w *limitWorld) restart() {
	if w.procs != nil {
		unix.Close(w.procs.cgroups.notify)
	}
	var err error
	w.poller = newPoller(w.T)
	w.procs, err = NewProcesses(w.poller, Options{Umask: 0o022, CgroupRoot: w.root, Warn: func(s string) { w.Error(s) },
		Notice: func(_ uint64, s string) { w.notices = append(w.notices, s) }})
	if err != nil {
		w.Fatal(err)
	}
}

func text(file string) string {
	b, _ := os.ReadFile(file)
	return strings.TrimSpace(string(b))
}

// group is a stanza for a name, with settings KEY=VALUE.
func group(controller, name string, settings ...string) job.Cgroup {
	n := job.CgroupName{Name: name}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		n.Settings = append(n.Settings, job.Setting{Key: key, Value: value})
	}
	return job.Cgroup{Controller: controller, Names: []job.CgroupName{n}}
}

func (w *limitWorld) limited(text string, groups ...job.Cgroup) *job.Spec {
	s := w.spec(text)
	s.Attrs.Cgroups = groups
	return s
}

// groupOf returns the directory of the group of a process for a controller,
// of v2 for "".
func (w *limitWorld) groupOf(pid int, controller string) string {
	cgroups := text(procPath(pid, "cgroup"))
	own, ok := ownGroupOf(cgroups, controller)
	if !ok {
		w.Fatalf("no group of %q for %d in %s", controller, pid, cgroups)
	}
	if controller == "" {
		return filepath.Dir(filepath.Dir(w.root)) + own
	}
	mounted := v1Groups(text("/proc/self/mountinfo"), text("/proc/self/cgroup"))[controller]
	_, below, _ := strings.Cut(own, "/"+filepath.Base(w.root)+"/")
	return mounted + "/" + filepath.Base(w.root) + "/" + below
}

// needV1 skips where a controller has no writable hierarchy of v1.
func (w *limitWorld) needV1(controllers ...string) {
	w.Helper()
	have := v1Groups(text("/proc/self/mountinfo"), text("/proc/self/cgroup"))
	for _, c := range controllers {
		if dir := have[c]; dir == "" || unix.Access(dir, unix.W_OK) != nil {
			w.Skipf("no writable cgroup v1 hierarchy with %s here", c)
		}
	}
}

func (w *limitWorld) wantFile(file, want string) {
	w.Helper()
	if got := text(file); got != want {
		w.Errorf("%s: %q, want %q", file, got, want)
	}
}

// end kills a spawn, and checks that nothing of it or of its groups stays.
func (w *limitWorld) end(token uint64, pid int, groups ...string) {
	w.Helper()
	w.kill(token, pid, unix.SIGKILL)
	w.over(token, pid)
	for _, g := range groups {
		w.until(g+" is gone", func() bool { return !there(g) })
	}
}

const waits = `echo >$DIR/ready; exec sleep 1000`

func TestLimitsV1(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("memory", "cpu", "pids", "cpuset")
	groups := []job.Cgroup{group("memory", "upstart/web", "limit_in_bytes=64M", "memory.high=1G"), group("cpu", "upstart/web", "weight=50", "cfs_quota_us=10000"),
		group("pids", "pool", "max=50"), group("cpuset", "upstart/web"), group("freezer", "upstart/web", "state=THAWED")}
	one, first := w.spawn(w.limited(waits, groups...))
	two, second := w.spawn(w.limited(waits, groups...))
	memory, cpu := w.groupOf(first, "memory"), w.groupOf(first, "cpu")
	w.wantFile(filepath.Dir(memory)+"/memory.limit_in_bytes", "67108864")
	w.wantFile(filepath.Dir(cpu)+"/cpu.shares", "512")
	w.wantFile(filepath.Dir(cpu)+"/cpu.cfs_quota_us", "10000")
	pool := w.groupOf(first, "pids")
	w.wantFile(filepath.Dir(pool)+"/pids.max", "50")
	w.wantFile(filepath.Dir(pool)+"/pids.current", "2")
	if filepath.Base(filepath.Dir(pool)) != "pool" || filepath.Base(pool) != itoa(int(one)) {
		t.Errorf("in %s", pool)
	}
	if cpus := text(w.groupOf(first, "cpuset") + "/cpuset.cpus"); cpus == "" {
		t.Error("no processors")
	}
	if got := w.groupOf(first, ""); got != w.root+"/upstart/web/"+itoa(int(one)) || got != w.procs.cgroups.path(one) {
		t.Errorf("in %s", got)
	}
	if want := []string{"cgroup memory memory.high has no effect: the kernel has no memory.high"}; !slices.Equal(w.notices, append(want, want...)) {
		t.Errorf("notices %q", w.notices)
	}
	w.end(one, first, memory, pool)
	if !there(filepath.Dir(pool)) {
		t.Error("the group went that another is in")
	}
	w.end(two, second, filepath.Dir(pool), filepath.Dir(memory), w.root+"/upstart")
}

// TestBlkioV1 has the throttles where the kernel looks at them.
func TestBlkioV1(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("blkio")
	var st unix.Stat_t
	unix.Stat(w.dir, &st)
	device := itoa(int(unix.Major(st.Dev))) + ":" + itoa(int(unix.Minor(st.Dev)))
	if !there("/sys/dev/block/" + device) {
		t.Skip("no block device here")
	}
	token, pid := w.spawn(w.limited(waits, group("io", "upstart/x", "max="+device+" rbps=1048576")))
	w.wantFile(w.groupOf(pid, "blkio")+"/blkio.throttle.read_bps_device", device+" 1048576")
	w.end(token, pid, filepath.Dir(w.groupOf(pid, "blkio")))
}

// TestTightV1 starts a process through the exec stage where there is room for
// the process alone.
func TestTightV1(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("pids", "memory")
	s := w.limited("", group("pids", "upstart/tight", "max=1"), group("memory", "upstart/tight", "max=2M"))
	s.Process = job.Process{Text: "sleep 1000"}
	s.Attrs.Umask, s.Attrs.HasNice = 0o27, true
	for range 20 {
		w.token++
		started, err := w.procs.Spawn(w.token, s, platform.Streams{Log: -1})
		if err != nil {
			t.Fatal(err)
		}
		w.until("executed", func() bool { return slices.Contains(w.told, engine.Msg(engine.Executed{PID: started.PID})) })
		if got := w.procs.cgroups.processes(w.token); !slices.Equal(got, []int{started.PID}) {
			t.Errorf("%d in its group, want %d", got, started.PID)
		}
		w.end(w.token, started.PID, w.root+"/upstart")
	}
}

// TestBombV1 bounds a fork bomb, and ends it.
func TestBombV1(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("pids")
	token, pid := w.spawn(w.limited(`(f() { f & f & wait; }; f & while :; do sleep 1000 & done) & echo >$DIR/ready; exec sleep 1000`, group("pids", "upstart/bomb", "max=40")))
	w.until("it is full", func() bool {
		n, _ := counter(w.groupOf(pid, "pids")+"/pids.events", "max")
		return n > 0
	})
	w.end(token, pid)
	if left := survivors(); len(left) > 0 {
		t.Errorf("%d live on", left)
	}
}

func TestOutOfMemory(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("memory")
	for _, c := range []struct {
		text  string
		limit string
		oom   bool
	}{{`echo >$DIR/ready; exec tail /dev/zero`, "16M", true}, {`echo >$DIR/ready; kill -KILL $$`, "16M", false}} {
		_, pid := w.spawn(w.limited(c.text, group("memory", "upstart/eater", "limit_in_bytes="+c.limit)))
		if e := w.exited(pid); e.OOM != c.oom || e.Status != job.Killed(job.Signal(unix.SIGKILL)) {
			t.Errorf("%s: told %+v", c.text, e)
		}
		w.told = nil
	}
}

// TestLimitsV2 needs the one controller that machines with v1 leave to v2.
func TestLimitsV2(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	if !hasWord(filepath.Dir(w.root)+"/cgroup.controllers", "hugetlb") {
		t.Skip("cgroup v2 has no hugetlb here")
	}
	flat, plain := w.spawn(w.spec(waits))
	one, first := w.spawn(w.limited(waits, group("hugetlb", "upstart/web", "2MB.limit_in_bytes=4M"), group("hugetlb", "batch/7", "hugetlb.2MB.max=8M")))
	dir := w.root + "/batch/_7/upstart/web"
	w.wantFile(w.root+"/batch/_7/hugetlb.2MB.max", "8388608")
	w.wantFile(dir+"/hugetlb.2MB.max", "4194304")
	w.wantFile(dir+"/"+itoa(int(one))+"/cgroup.procs", itoa(first))
	w.wantFile(w.root+"/"+itoa(int(flat))+"/cgroup.procs", itoa(plain))
	if a, b := w.procs.TokenOf(first), w.procs.TokenOf(plain); a != one || b != flat {
		t.Errorf("tokens %d and %d, want %d and %d", a, b, one, flat)
	}
	w.restart() // and all of it is found again
	s := w.limited(waits)
	if got := w.procs.Find(one, s, func(int) bool { return false }); got != (platform.Found{PID: first, Started: true}) {
		t.Errorf("found %+v, want %d", got, first)
	}
	w.procs.Adopt(flat, plain, job.ExpectNone, false)
	w.end(flat, plain)
	w.end(one, first, w.root+"/batch")
	if len(w.notices) > 0 {
		t.Errorf("notices %q", w.notices)
	}
}

// TestFrozen stops a job by its stanza.
func TestFrozen(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.token++
	s := w.limited(`exec sleep 1000`, group("freezer", "upstart/ice", "state=FROZEN"))
	started, err := w.procs.Spawn(w.token, s, platform.Streams{Log: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.until("it is frozen", func() bool { n, _ := counter(w.root+"/upstart/ice/cgroup.events", "frozen"); return n == 1 })
	w.end(w.token, started.PID, w.root+"/upstart")
}

func TestLimitsRefused(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("memory", "pids")
	for _, c := range []struct {
		group job.Cgroup
		want  string
	}{
		{group("memory", "upstart/x", "limit_in_bytes=lots"), "limit_in_bytes: Invalid argument"},
		{group("pids", "upstart/x", "maximum=3"), "maximum: No such file or directory"},
		{group("pids", "upstart/x", "../max=3"), "../max: Invalid argument"},
		{group("pids", "$NOBODY/x", "max=3"), "$NOBODY/x: Invalid argument"},
		{group("pids", "..", "max=3"), "..: Invalid argument"},
	} {
		_, err := w.procs.Spawn(9, w.limited(waits, c.group), platform.Streams{Log: -1})
		if err == nil || err.Error() != "unable to setup cgroup: "+c.want {
			t.Errorf("%+v: %v, want %q", c.group, err, c.want)
		}
	}
	token, pid := w.spawn(w.limited(waits, group("nosuch", "upstart/x", "a=b")))
	if want := []string{"cgroup nosuch has no effect: Operation not supported"}; !slices.Equal(w.notices, want) {
		t.Errorf("notices %q, want %q", w.notices, want)
	}
	w.end(token, pid)
	s := w.limited(waits, group("pids", "upstart/x", "max=nonsense"))
	s.Slot = job.Security // which has none of the attributes
	token, pid = w.spawn(s)
	w.end(token, pid)
	for _, dir := range v1Groups(text("/proc/self/mountinfo"), text("/proc/self/cgroup")) {
		if there(dir + "/" + filepath.Base(w.root) + "/upstart") {
			t.Errorf("a group stays in %s", dir)
		}
	}
}

// TestLimitsAfterCrash removes the groups of v1 that a manager left, but not
// those in use.
func TestLimitsAfterCrash(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.needV1("pids")
	limit := group("pids", "pool", "max=50")
	kept, first := w.spawn(w.limited(waits, limit))
	gone, second := w.spawn(w.limited(waits, limit))
	dir := w.groupOf(first, "pids")
	unix.Kill(second, unix.SIGKILL)
	w.until("it is dead", func() bool { return !alive(second) })
	w.restart()
	w.procs.Adopt(kept, first, job.ExpectNone, false)
	w.procs.Collect(func(engine.Msg) {})
	w.until("the other's is gone", func() bool { return !there(filepath.Dir(dir) + "/" + itoa(int(gone))) })
	if !there(dir) {
		t.Error("the group of a job that runs is gone")
	}
	w.end(kept, first, filepath.Dir(dir))
}

// TestNoLimits ignores the stanza.
func TestNoLimits(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	w.procs.limits = newLimits(w.procs.cgroups, Options{NoCgroups: true})
	token, pid := w.spawn(w.limited(waits, group("pids", "upstart/x", "max=nonsense")))
	w.end(token, pid)
}

// TestJoin has a process enter its group where none can be born in one.
func TestJoin(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	w := newLimitWorld(t)
	if !w.procs.cgroups.clones {
		t.Skip("no process can be born in a group here")
	}
	w.procs.cgroups.clones = false
	token, pid := w.spawn(w.spec(`sleep 1000 & echo >$DIR/ready; exec sleep 1000`))
	if got := w.procs.cgroups.processes(token); len(got) != 2 || !slices.Contains(got, pid) {
		t.Errorf("%d in the group of %d", got, pid)
	}
	w.end(token, pid, w.root+"/"+itoa(int(token)))
}
