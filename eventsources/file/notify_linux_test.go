package file

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"onset/eventsources"
)

// slow is an init that takes no event of jam before let is closed.
type slow struct {
	*world
	let chan struct{}
}

func (s slow) Emit(ctx context.Context, e eventsources.Event) error {
	if strings.HasSuffix(e.Env[0], "/jam") {
		<-s.let
	}
	return s.world.Emit(ctx, e)
}

// TestOverflow wants the differences after the kernel lost what happened.
func TestOverflow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "FILE=D/jam EVENT=create", "FILE=D/gone", "FILE=D/new", "FILE=D/old", "while FILE=D/a/deep")
	let := make(chan struct{})
	for _, words := range []string{"write gone", "write old", "mkdir a"} {
		w.do(words)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Source{}.Run(ctx, slow{w, let}) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	w.set(w.operands...)
	w.expect("the start", "file FILE=D/gone EVENT=create", "file FILE=D/old EVENT=create")
	w.do("write jam")
	for i := range 10000 { // four notifications each, of which the kernel keeps 16384 for a queue
		name := fmt.Sprintf("n%d", i)
		w.do("write " + name)
		w.do("rm " + name)
	}
	for _, words := range []string{"rm gone", "write new", "write old", "write a/deep"} {
		w.do(words)
	}
	close(let)
	w.lines = nil
	got := strings.Join(w.settle(6), "\n")
	for _, want := range []string{"file FILE=D/jam EVENT=create", "log the kernel lost", "file FILE=D/gone EVENT=delete", "file FILE=D/new EVENT=create",
		"file FILE=D/old EVENT=modify", "fact file FILE=D/a/deep"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q was not told, but\n%s", want, got)
		}
	}
}

// apartMark in the environment says that the test runs in namespaces of its own.
const apartMark = "ONSET_TEST_APART"

// apart runs a test in a user and a mount namespace of its own. It is called
// there, too.
func apart(t *testing.T, test func(t *testing.T)) {
	if os.Getenv(apartMark) != "" {
		test(t)
		return
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), apartMark+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && len(out) == 0:
		t.Skipf("no user namespaces here: %v", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "SKIP"):
		t.Skipf("%s", out)
	}
}

// TestLimit wants what cannot be watched to be looked at, and the log to say so
// once, with an operand: a user namespace has limits of its own.
func TestLimit(t *testing.T) { apart(t, limited) }

func limited(t *testing.T) {
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("24"), 0o644); err != nil {
		t.Skipf("no limit for this namespace: %v", err)
	}
	var operands []string
	for i := range 30 {
		operands = append(operands, fmt.Sprintf("FILE=D/%d/f", i))
	}
	w := newWorld(t, operands...)
	for i := range 30 {
		w.do(fmt.Sprintf("mkdir %d", i))
	}
	w.run()
	w.do("write 29/f")
	w.do("write 9/f")
	w.await("emit file FILE="+w.path("29/f")+" EVENT=create", "emit file FILE="+w.path("9/f")+" EVENT=create")
	if log := strings.Join(w.lines, "\n"); strings.Count(log, "log cannot watch") != 1 || !strings.Contains(log, "max_user_watches") || !strings.Contains(log, "FILE="+w.dir) {
		t.Errorf("said:\n%s", log)
	}
	w.do("rm 9/f")
	w.do("rm 29/f")
	w.await("emit file FILE="+w.path("29/f")+" EVENT=delete", "emit file FILE="+w.path("9/f")+" EVENT=delete")
}

func TestMounts(t *testing.T) { apart(t, mounted) }

func mount(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "") }

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
