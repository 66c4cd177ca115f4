package joblog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// again runs the calling test again in a process of its own, with a limit of
// descriptors set by ulimit if that is not empty; it returns true there. Mounts
// are its own where the kernel can do that.
func again(t *testing.T, limit string) bool {
	const mark = "JOBLOG_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root for mounts")
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	cmd := exec.Command(os.Args[0], args...)
	if limit != "" {
		if _, err := os.Stat("/bin/sh"); err != nil {
			t.Skip("SKIPPED: no shell: ", err)
		}
		script := fmt.Sprintf(`ulimit %s; exec "$0" "$@"`, limit)
		cmd = exec.Command("/bin/sh", append([]string{"-c", script, os.Args[0]}, args...)...)
	}
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = ownMounts
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

func TestFullDisk(t *testing.T) {
	if !again(t, "") {
		return
	}
	b := newBench(t)
	smallDisk(t, b.dir, 64<<10)
	defer unix.Unmount(b.dir, forceUnmount)
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
	b.until("the disk refuses", func() bool {
		return !f.busy && (f.dropped > 0 || strings.Contains(strings.Join(b.said, " "), "dropped"))
	})
	if f.collected.size > unwrittenMax {
		t.Errorf("%d bytes in memory", f.collected.size)
	}
	enlargeDisk(t, b.dir)
	pty.WriteString("end")
	b.until("the end is written", func() bool { return strings.HasSuffix(b.text("a.log"), "end") })
	gaps := checkGaps(t, b.text("a.log"), strings.Repeat(string(line), lines)+"end")
	b.until("the log of init tells", func() bool { return len(b.said) == 1+gaps })
	b.saidOnce("Failed to write to log file " + b.path("a.log") + ": No space left on device")
	if n := strings.Count(strings.Join(b.said, "\n"), " bytes of output dropped: No space left on device"); n != gaps {
		t.Errorf("said %q", b.said)
	}
}

// checkGaps checks that a log is what was printed but for gaps, whose lengths
// the lines in their places tell. There are several where the disk has room for less
// than it refused.
func checkGaps(t *testing.T, got, printed string) (gaps int) {
	t.Helper()
	for {
		head, rest, more := strings.Cut(got, "\r\ninit: ")
		if !strings.HasPrefix(printed, head) {
			t.Fatalf("after %d gaps the log is not what was printed", gaps)
		}
		if printed = printed[len(head):]; !more {
			break
		}
		var gap int
		fmt.Sscan(rest, &gap)
		if _, got, _ = strings.Cut(rest, "\r\n"); gap == 0 || gap > len(printed) {
			t.Fatalf("a gap of %d bytes, where %d are left", gap, len(printed))
		}
		printed = printed[gap:]
		gaps++
	}
	switch {
	case gaps == 0:
		t.Fatal("no line tells of a gap")
	case printed != "":
		t.Errorf("%d bytes are missing at the end", len(printed))
	case gaps == 1 && len(got) < unwrittenMax-2*dropStep:
		t.Errorf("only %d bytes were kept", len(got))
	}
	return gaps
}

func TestReadOnlyDiskWritesEarlyLogsOnFlush(t *testing.T) {
	if !again(t, "") {
		return
	}
	b := newBench(t)
	smallDisk(t, b.dir, 64<<10)
	defer unix.Unmount(b.dir, forceUnmount)
	setReadOnly(t, b.dir, true)
	token, pty := b.spawn("a.log")
	pty.WriteString("early")
	pty.Close()
	b.Release(token)
	b.until("the disk refuses", func() bool { return len(b.said) == 1 && !b.working() })
	b.saidOnce("Read-only file system")
	clear(b.due) // so that only Flush can do it
	setReadOnly(t, b.dir, false)
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
	if !again(t, "-S -n 1024") {
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
	if !again(t, "-n 128") {
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
		b.Release(uint64(i + 1))
	}
	b.until("all slots end", func() bool { return len(b.slots) == 0 && !b.working() })
	if _, err := b.Open(1000, b.path("last.log")); err != nil {
		t.Error(err)
	}
	b.Failed(1000)
}
