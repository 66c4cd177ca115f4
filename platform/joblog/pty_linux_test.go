package joblog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY is an Opener.
func openPTY() (master, slave int, err error) {
	master, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, -1, err
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		unix.Close(master)
		return -1, -1, err
	}
	return master, slave, nil
}

// inNamespace runs the calling test again with private mounts and, if limit
// is not empty, a limit of descriptors set by ulimit; it returns true there.
func inNamespace(t *testing.T, limit string) bool {
	const mark = "JOBLOG_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root for private mounts")
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	cmd := exec.Command(os.Args[0], args...)
	if limit != "" {
		script := fmt.Sprintf(`ulimit %s; exec "$0" "$@"`, limit)
		cmd = exec.Command("/bin/sh", append([]string{"-c", script, os.Args[0]}, args...)...)
	}
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, dir string, size int) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("joblog", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	if !inNamespace(t, "") {
		return
	}
	b := newBench(t)
	smallDisk(t, b.dir, 64<<10)
	defer unix.Unmount(b.dir, unix.MNT_DETACH)
	_, pty := b.spawn("a.log")
	line := bytes.Repeat([]byte("0123456789abcde "), 64)
	const lines = 3000 // 3 MiB
	wrote := make(chan error, 1)
	go func() {
		for range lines {
			if _, err := pty.Write(line); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	var err error
	b.until("the job is done", func() bool {
		select {
		case err = <-wrote:
			return true
		default:
			return false
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	f := b.files[b.path("a.log")]
	b.until("the disk refuses", func() bool { return f.failed != nil && !f.busy && f.dropped > 0 })
	if f.collected.size > unwrittenMax {
		t.Errorf("%d bytes in memory", f.collected.size)
	}
	if err := unix.Mount("joblog", b.dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	pty.WriteString("end")
	b.until("the end is written", func() bool { return strings.HasSuffix(b.text("a.log"), "end") })
	checkGap(t, b.text("a.log"), strings.Repeat(string(line), lines)+"end")
	b.until("the log of init tells", func() bool { return len(b.said) == 2 })
	b.saidOnce("Failed to write to log file: No space left on device")
	b.saidOnce(" bytes of output dropped: No space left on device")
}

// checkGap checks that a log is what was printed but for one gap, whose
// length the line in its place tells.
func checkGap(t *testing.T, got, printed string) {
	t.Helper()
	head, rest, ok := strings.Cut(got, "\r\ninit: ")
	var gap int
	fmt.Sscan(rest, &gap)
	_, rest, _ = strings.Cut(rest, "\r\n")
	switch {
	case !ok || gap == 0:
		t.Fatal("no line tells of the gap")
	case !strings.HasPrefix(printed, head) || !strings.HasSuffix(printed, rest):
		t.Error("the log is not what was printed")
	case len(head)+gap+len(rest) != len(printed):
		t.Errorf("%d bytes, gap %d, %d bytes; want %d in all", len(head), gap, len(rest), len(printed))
	case len(rest) < unwrittenMax-2*dropStep:
		t.Errorf("only %d bytes were kept", len(rest))
	}
}

func TestReadOnlyDiskWritesEarlyLogsOnFlush(t *testing.T) {
	if !inNamespace(t, "") {
		return
	}
	b := newBench(t)
	smallDisk(t, b.dir, 64<<10)
	defer unix.Unmount(b.dir, unix.MNT_DETACH)
	if err := unix.Mount("joblog", b.dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	token, pty := b.spawn("a.log")
	pty.WriteString("early")
	pty.Close()
	b.Release(token)
	b.until("the disk refuses", func() bool { return len(b.said) == 1 && !b.working() })
	b.saidOnce("Read-only file system")
	clear(b.due) // so that only Flush can do it
	if err := unix.Mount("joblog", b.dir, "tmpfs", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	var answer []error
	b.Flush(func(err error) { answer = append(answer, err) })
	b.until("an answer", func() bool { return len(answer) == 1 })
	if answer[0] != nil || b.text("a.log") != "early" {
		t.Error(answer, b.text("a.log"))
	}
}

// TestThousandSlots starts where the soft limit of descriptors is 1,024; the
// runtime has raised it by the time a test runs.
func TestThousandSlots(t *testing.T) {
	if !inNamespace(t, "-S -n 1024") {
		return
	}
	var hard unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &hard); hard.Max < 4200 {
		t.Skipf("SKIPPED: the hard limit of descriptors is %d", hard.Max)
	}
	b := newBench(t)
	const slots = 1000
	var ptys []*os.File
	start := time.Now()
	for i := range slots {
		token, pty := b.spawn(fmt.Sprintf("%d.log", i))
		ptys = append(ptys, pty)
		fmt.Fprintf(pty, "output of %d\n", i)
		b.Release(token)
	}
	for _, pty := range ptys {
		pty.Close()
	}
	b.until("all slots end", func() bool { return len(b.slots) == 0 && !b.working() })
	t.Logf("%d slots in %v", slots, time.Since(start))
	for i := range slots {
		if got, want := b.text(fmt.Sprintf("%d.log", i)), fmt.Sprintf("output of %d\r\n", i); got != want {
			t.Fatalf("%d: %q", i, got)
		}
	}
}

// TestFewDescriptors has a hard limit that does not do for all jobs: those
// beyond it are told so at once, and the others are logged to the end.
func TestFewDescriptors(t *testing.T) {
	if !inNamespace(t, "-n 128") {
		return
	}
	b := newBench(t)
	var ptys []int
	var err error
	for err == nil {
		var slave int
		if slave, err = b.Open(uint64(len(ptys)+1), b.path(fmt.Sprintf("%d.log", len(ptys)))); err == nil {
			ptys = append(ptys, slave)
		}
		if len(ptys) > 128 {
			t.Fatal("there is no limit")
		}
	}
	if !errors.Is(err, unix.EMFILE) || len(ptys) < 30 {
		t.Fatalf("%d ptys, then: %v", len(ptys), err)
	}
	text := func(i int) string { return strings.Repeat(fmt.Sprintf("output of %d ", i), 10) }
	for i, slave := range ptys {
		if _, err := unix.Write(slave, []byte(text(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range ptys {
		b.wants(fmt.Sprintf("%d.log", i), text(i))
	}
	if len(b.said) > 0 {
		t.Errorf("said %q", b.said)
	}
	for i := range ptys {
		b.Spawned(uint64(i + 1))
	}
	b.until("all slots end", func() bool { return len(b.slots) == 0 && !b.working() })
	if _, err := b.Open(1000, b.path("last.log")); err != nil {
		t.Error(err)
	}
	b.Failed(1000)
}
