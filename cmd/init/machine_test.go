//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is init as process 1 of namespaces of its own.
type machine struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	out lockedBuffer
	log lockedBuffer
}

// lockedBuffer is written while it is read.
type lockedBuffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.String()
}

// startMachine boots on job files; what they print is in dir/log. The folder
// is the same inside.
func startMachine(t *testing.T, jobs map[string]string) *machine {
	t.Helper()
	return startMachineOn(t, jobs, ":")
}

// startMachineOn has a shell prepare what process 1 will see; DIR/ is the
// folder.
func startMachineOn(t *testing.T, jobs map[string]string, prepare string) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make the namespaces of a machine")
	}
	dir, err := os.MkdirTemp("/var/tmp", "onset-machine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir}
	for _, d := range []string{"conf", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.install()
	for name, text := range jobs {
		if err := os.WriteFile(filepath.Join(dir, "conf", name), []byte(strings.ReplaceAll(text, "DIR/", dir+"/")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.cmd = exec.Command("/bin/sh", "-ec", `
		mount --make-rprivate /
		mount -t proc proc /proc
		mount -t tmpfs -o mode=755 tmpfs /run
		mount --bind "$KMSG" /dev/kmsg
		exec unshare -C sh -ec 'umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup
			eval "$PREPARE"; exec "$0" "$@"' \
			nice -n -15 "$0" "$@"`, m.program(), "--verbose", "--confdir", filepath.Join(dir, "conf"), "--logdir", filepath.Join(dir, "log"))
	m.cmd.Env = append(os.Environ(), "KMSG="+m.kernelLog(), "PREPARE="+strings.ReplaceAll(prepare, "DIR/", dir+"/"))
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	m.ownGroup()
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.cmd.Process.Kill() // and with it everything in the namespace
		m.cmd.Wait()
		if t.Failed() {
			said := m.out.String()
			t.Logf("process 1 said last:\n%s", said[max(0, len(said)-1000):])
		}
	})
	m.await("an answer", func() bool { _, err := m.run("initctl", "version"); return err == nil })
	return m
}

// program is the init of this machine, which install puts there.
func (m *machine) program() string { return filepath.Join(m.dir, "init") }

func (m *machine) install() {
	m.t.Helper()
	err := copyProgram(program("init"), m.program()+".new")
	if err == nil {
		err = os.Rename(m.program()+".new", m.program())
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// copyProgram makes a copy that can be executed at once: no child that this
// process forks meanwhile has it open, which the kernel would refuse (ETXTBSY,
// execve(2)).
func copyProgram(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, text, 0o755)
}

// ownGroup has the machine start in a cgroup of its own, as far as there are
// cgroups here.
func (m *machine) ownGroup() {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		dir, err := os.MkdirTemp(root, "onset-machine")
		if err != nil {
			m.t.Log("without cgroups: ", err)
			return
		}
		m.t.Cleanup(func() { removeGroups(dir) })
		f, err := os.Open(dir)
		if err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() { f.Close() })
		m.cmd.SysProcAttr.UseCgroupFD, m.cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
		return
	}
}

func removeGroups(dir string) {
	below, _ := os.ReadDir(dir)
	for _, d := range below {
		if d.IsDir() {
			removeGroups(filepath.Join(dir, d.Name()))
		}
	}
	syscall.Rmdir(dir)
}

// kernelLog makes a pipe that stands for the kernel's log, whose rate is
// limited.
func (m *machine) kernelLog() string {
	path := filepath.Join(m.dir, "kmsg")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		m.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&m.log, f)
	}()
	m.t.Cleanup(func() {
		f.Close()
		<-read
		if m.t.Failed() {
			log := m.log.String()
			m.t.Logf("init logged last:\n%s", log[max(0, len(log)-10000):])
		}
	})
	return path
}

func (m *machine) await(what string, true func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// run runs a command of initctl inside and returns what it prints.
func (m *machine) run(name string, args ...string) (string, error) {
	return m.inside(program(name), args...)
}

// inside runs a program in the namespaces of the machine.
func (m *machine) inside(name string, args ...string) (string, error) {
	line := append([]string{"-t", strconv.Itoa(m.cmd.Process.Pid), "-p", "-m", "-n", name}, args...)
	out, err := exec.Command("nsenter", line...).CombinedOutput()
	return string(out), err
}

// inNetwork calls a function in the network namespace of the machine.
func (m *machine) inNetwork(do func() error) error {
	m.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	enter := func(pid int) {
		f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
		if err == nil {
			defer f.Close()
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	enter(m.cmd.Process.Pid)
	defer enter(os.Getpid())
	return do()
}

// must runs a command of initctl, or a program of that name, and returns what
// it prints.
func (m *machine) must(name string, args ...string) string {
	m.t.Helper()
	out, err := m.run("initctl", append([]string{name}, args...)...)
	if err != nil {
		m.t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// manager returns the process number of the manager, or 0 while there is none.
// What a manager that was killed had just forked for a job looks like one, but
// for its single thread.
func (m *machine) manager() int {
	first := strconv.Itoa(m.cmd.Process.Pid)
	own, _ := os.ReadFile("/proc/" + first + "/cmdline")
	var children []byte // of any thread
	threads, _ := filepath.Glob("/proc/" + first + "/task/*/children")
	for _, file := range threads {
		more, _ := os.ReadFile(file)
		children = append(children, more...)
	}
	for child := range strings.FieldsSeq(string(children)) {
		line, _ := os.ReadFile("/proc/" + child + "/cmdline")
		exe, err := os.Readlink("/proc/" + child + "/exe")
		threads, _ := os.ReadDir("/proc/" + child + "/task")
		if err == nil && exe == m.program() && bytes.HasPrefix(line, own) && len(threads) > 1 {
			pid, _ := strconv.Atoi(child)
			return pid
		}
	}
	return 0
}

// awaitManager waits for one: there is none for a moment after its death, and
// the kernel's list may lack it while another child ends.
func (m *machine) awaitManager() (pid int) {
	m.t.Helper()
	m.await("a manager", func() bool { pid = m.manager(); return pid != 0 })
	return pid
}

// killManager kills the manager, and returns which process it was.
func (m *machine) killManager() (pid int) {
	m.t.Helper()
	pid = m.awaitManager()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	return pid
}

func (m *machine) lines(file string) []string {
	text, err := os.ReadFile(filepath.Join(m.dir, file))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r", ""), "\n"), "\n")
}

// TestMainPIDThatEndsWithoutManager has a main process end, and its parent
// learn of it, while there is no manager.
func TestMainPIDThatEndsWithoutManager(t *testing.T) {
	m := startMachine(t, map[string]string{
		"named.conf": "expect notify\nscript\n\tset +e\n\t" + client("await DIR/die") + " &\n\t" +
			client("notify READY=1+MAINPID=$! barrier write DIR/said x") + "\n\twait $!\n\t" +
			client("write DIR/reaped x await DIR/go") + "\n\texit 7\nend script\n",
	})
	m.must("start", "named")
	before := m.must("status", "named")
	keeper := m.cmd.Process
	m.await("the barrier, which the next manager would lift", func() bool { return m.exists("said") })
	keeper.Signal(syscall.SIGSTOP)
	m.killManager()
	m.write("die")
	m.await("the parent to reap its child", func() bool { return m.exists("reaped") })
	keeper.Signal(syscall.SIGCONT)
	m.await("the parent to be main", func() bool { return m.must("status", "named") != before })
	m.write("go")
	m.await("the end", func() bool { return strings.Contains(m.must("status", "named"), "stop/waiting") })
	if why := m.must("why", "named"); !strings.Contains(why, "main process terminated with status 7") {
		t.Errorf("it ended because of\n%s", why)
	}
}
