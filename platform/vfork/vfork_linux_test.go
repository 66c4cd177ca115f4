package vfork

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv("VFORK_PARENT") != "" {
		parent()
	}
	os.Exit(m.Run())
}

// need skips where there is no clone3 that can do it.
func need(t *testing.T) {
	t.Helper()
	if pid, _, errno := new(Table).Run(); pid == 0 {
		t.Skip("no such clone3 here: " + unix.Errno(errno).Error())
	} else if status := wait(t, pid); status != 255 {
		t.Fatalf("a child with nothing to do ends with %d", status)
	}
}

func wait(t *testing.T, pid int) int {
	t.Helper()
	var status unix.WaitStatus
	for {
		switch _, err := unix.Wait4(pid, &status, 0, nil); {
		case err == unix.EINTR:
		case err != nil || !status.Exited():
			t.Fatalf("the child %d ended with %v, %v", pid, status, err)
		default:
			return status.ExitStatus()
		}
	}
}

// exit is the last call of a child that executes nothing.
func (t *Table) exit(status uintptr) { t.Add(unix.SYS_EXIT_GROUP, status) }

func (t *Table) execute(path string) {
	name, _ := unix.BytePtrFromString(path)
	argv, _ := syscall.SlicePtrFromStrings([]string{path})
	t.Add(unix.SYS_EXECVE, t.Address(unsafe.Pointer(name)), t.Address(unsafe.Pointer(&argv[0])), t.Address(unsafe.Pointer(&argv[1])))
}

// TestEachCallFails has a child end at each of its calls, and tell which it was
// and why.
func TestEachCallFails(t *testing.T) {
	need(t)
	for failing := range 5 {
		table := &Table{}
		table.Add(unix.SYS_DUP3, 0, 100, unix.O_CLOEXEC)
		table.Add(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, table.Mask(), 0, 8)
		table.Add(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE)
		table.Add(unix.SYS_SETSID)
		table.execute("/nowhere")
		want := unix.ENOENT
		if failing < len(table.Calls)-1 {
			table.Calls[failing] = Call{unix.SYS_DUP3, [4]uintptr{0, 0, 0}}
			want = unix.EINVAL
		}
		pid, failed, errno := table.Run()
		if failed != failing+1 || errno != uintptr(want) {
			t.Errorf("call %d failed with %v, want call %d with %v", failed, unix.Errno(errno), failing+1, want)
		}
		if status := wait(t, pid); status != 255 {
			t.Errorf("it ended with %d", status)
		}
	}
	table := &Table{Flags: unix.CLONE_INTO_CGROUP, Cgroup: 1<<31 - 1}
	if pid, failed, errno := table.Run(); pid != 0 || failed != 0 || errno != uintptr(unix.EBADF) {
		t.Errorf("a child in no cgroup: %d, call %d failed with %v", pid, failed, unix.Errno(errno))
	}
}

func TestProgramRuns(t *testing.T) {
	need(t)
	table := &Table{}
	table.execute("/bin/false")
	pid, failed, errno := table.Run()
	if failed != 0 || errno != 0 {
		t.Fatalf("call %d failed with %v", failed, unix.Errno(errno))
	}
	if status := wait(t, pid); status != 1 {
		t.Errorf("it ended with %d", status)
	}
}

// TestMaskIsKept blocks a signal in the thread that calls Run: it stays so
// there, and comes to be so in the child, and no other.
func TestMaskIsKept(t *testing.T) {
	need(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const realTime = 40
	before, after, child := unix.Sigset_t{}, unix.Sigset_t{}, new([2]uint64)
	blocked := unix.Sigset_t{}
	blocked.Val[0] = 1<<(unix.SIGUSR1-1) | 1<<(realTime-1)
	unix.PthreadSigmask(unix.SIG_SETMASK, &blocked, &before)
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	table := &Table{}
	address := table.Address(unsafe.Pointer(child))
	table.Add(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, 0, address, 8)
	table.Add(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, table.Mask(), 0, 8)
	table.Add(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, 0, address+8, 8)
	table.exit(0)
	pid, failed, _ := table.Run()
	unix.PthreadSigmask(unix.SIG_SETMASK, nil, &after)
	if status := wait(t, pid); status != 0 || failed != 0 {
		t.Fatalf("call %d failed", failed)
	}
	const unblockable = 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1)
	if want := [2]uint64{^uint64(unblockable), uint64(blocked.Val[0])}; *child != want {
		t.Errorf("the child blocked %x, want %x", *child, want)
	}
	if after != blocked {
		t.Errorf("then the thread blocked %x, want %x", after.Val[0], blocked.Val[0])
	}
}

// TestStorm makes children from stacks of any size while others allocate,
// collect and get signals. Each tells its pid. ONSET_SOAK=1 makes 10,000.
func TestStorm(t *testing.T) {
	need(t)
	const programs = 100
	children := 1000
	if os.Getenv("ONSET_SOAK") != "" {
		children = 10000
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals)
	defer signal.Stop(signals)
	var others sync.WaitGroup
	var turns []chan struct{}
	for _, work := range []func(){
		runtime.GC,
		func() { unix.Kill(unix.Getpid(), unix.SIGURG); unix.Kill(unix.Getpid(), unix.SIGCHLD) },
		func() { garbage.Store(allocate(100)) },
	} {
		turn := make(chan struct{}, 4)
		turns = append(turns, turn)
		others.Go(func() {
			for range turn {
				work()
			}
		})
	}
	for i := 0; i < children && !t.Failed(); i++ {
		for _, turn := range turns {
			select {
			case turn <- struct{}{}:
			default:
			}
		}
		deep(i%40, func() { child(t, i < programs) })
	}
	for _, turn := range turns {
		close(turn)
	}
	others.Wait()
}

var garbage atomic.Value

func allocate(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, 1+i*7)
	}
	return all
}

// deep calls f from a stack that has some kilobytes more.
//
//go:noinline
func deep(n int, f func()) {
	var room [1024]byte
	if n == 0 {
		f()
		return
	}
	deep(n-1, f)
	runtime.KeepAlive(&room)
}

func child(t *testing.T, executes bool) {
	t.Helper()
	room := make([]byte, PIDRoom)
	for i := range PIDRoom - 1 {
		room[i] = '?'
	}
	table := &Table{PID: &room[0]}
	table.Add(unix.SYS_SETSID)
	table.Add(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, table.Mask(), 0, 8)
	if executes {
		table.execute("/bin/true")
	} else {
		table.exit(0)
	}
	pid, failed, errno := table.Run()
	if failed != 0 || errno != 0 {
		t.Errorf("call %d failed with %v", failed, unix.Errno(errno))
		return
	}
	if status := wait(t, pid); status != 0 {
		t.Errorf("it ended with %d", status)
	}
	if text := unix.ByteSliceToString(room); text != strconv.Itoa(pid) {
		t.Errorf("the child %d says that it is %q", pid, text)
	}
}

// parent makes children until it is killed.
func parent() {
	os.Stdout.WriteString("x")
	for {
		table := &Table{}
		table.Add(unix.SYS_SETSID)
		table.execute("/bin/true")
		pid, failed, _ := table.Run()
		if failed != 0 || pid == 0 {
			os.Exit(1)
		}
		unix.Wait4(pid, nil, 0, nil)
	}
}

// TestParentKilled kills parents at any instant: their children run their
// programs, and end.
func TestParentKilled(t *testing.T) {
	need(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Skip("orphans do not come here: " + err.Error())
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	orphans := 0
	for i := range 30 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		pid, err := syscall.ForkExec(self, []string{self}, &syscall.ProcAttr{
			Env: append(os.Environ(), "VFORK_PARENT=1"), Files: []uintptr{0, w.Fd(), 2}})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		for range i * 3000 { // another instant each time
			unix.Getppid()
		}
		unix.Kill(pid, unix.SIGKILL)
		r.Close()
		orphans += reapAll(t, pid)
	}
	if orphans == 0 {
		t.Error("no child outlived its parent")
	}
}

// reapAll waits for all children, of which one is killed, and returns how many
// others there were.
func reapAll(t *testing.T, killed int) (others int) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.ECHILD:
			return others
		case err == unix.EINTR:
		case err != nil:
			t.Fatal(err)
		case pid == 0 && time.Now().After(deadline):
			t.Fatal("a child does not end")
		case pid == 0:
			runtime.Gosched()
		case pid == killed:
			if !status.Signaled() {
				t.Fatalf("the parent ended with %d", status.ExitStatus())
			}
		default:
			others++
			if status != 0 {
				t.Errorf("a child ended with %v", status)
			}
		}
	}
}
