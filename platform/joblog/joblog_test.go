package joblog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/posix"
)

// pollPoller is a Poller on poll(2).
type pollPoller struct {
	fds   []unix.PollFd
	ready map[int]func(platform.Ready)
	wake  [2]int
	seen  int // descriptors found ready, for spin checks
}

func newPoller(t testing.TB) *pollPoller {
	p := &pollPoller{ready: map[int]func(platform.Ready){}}
	if err := unix.Pipe2(p.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.wake[0]); unix.Close(p.wake[1]) })
	p.fds = []unix.PollFd{{Fd: int32(p.wake[0]), Events: unix.POLLIN}}
	return p
}

func (p *pollPoller) Add(fd int, _ platform.Ready, ready func(platform.Ready)) error {
	p.ready[fd] = ready
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return nil
}

func (p *pollPoller) Set(int, platform.Ready) error { panic("not used") }

func (p *pollPoller) Remove(fd int) {
	delete(p.ready, fd)
	for i := range p.fds {
		if p.fds[i].Fd == int32(fd) {
			p.fds = append(p.fds[:i:i], p.fds[i+1:]...)
			return
		}
	}
}

func (p *pollPoller) Wake() { unix.Write(p.wake[1], []byte{0}) }

func (p *pollPoller) Wait(timeout time.Duration) error {
	if _, err := unix.Poll(p.fds, int(timeout.Milliseconds())); err != nil {
		return nil
	}
	if p.fds[0].Revents != 0 {
		var drain [64]byte
		unix.Read(p.wake[0], drain[:])
	}
	for _, fd := range append([]unix.PollFd(nil), p.fds[1:]...) {
		if ready := p.ready[int(fd.Fd)]; fd.Revents != 0 && ready != nil {
			p.seen++
			ready(platform.Readable)
		}
	}
	return nil
}

// bench is a Logs with its poller, a directory, and what it warned of.
type bench struct {
	*Logs
	t    testing.TB
	p    *pollPoller
	dir  string
	said []string
	next uint64
}

func newBench(t testing.TB) *bench { return newBenchOn(t, memory(t)) }

// memory returns memory for an arena.
func memory(t testing.TB) []byte {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, ArenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	return mem
}

func newBenchOn(t testing.TB, mem []byte) *bench {
	b := &bench{t: t, p: newPoller(t), dir: t.TempDir()}
	b.Logs = New(b.p, posix.OpenPTY, mem, func(format string, args ...any) {
		b.said = append(b.said, fmt.Sprintf(format, args...))
	})
	t.Cleanup(b.Close)
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// spawn opens a slot and returns a copy of the slave, as a process has it.
func (b *bench) spawn(name string) (token uint64, terminal *os.File) {
	b.t.Helper()
	b.next++
	slave, err := b.Open(b.next, b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	fd, err := unix.FcntlInt(uintptr(slave), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Spawned(b.next)
	return b.next, os.NewFile(uintptr(fd), "pty")
}

// until runs the loop until ok.
func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	for limit := time.Now().Add(3 * time.Minute); !ok(); {
		if time.Now().After(limit) {
			b.t.Fatalf("waited in vain: %s; said %q", what, b.said)
		}
		b.p.Wait(10 * time.Millisecond)
		b.Collect()
	}
}

// working reports whether there is output that no disk has refused yet.
func (b *bench) working() bool {
	for f := range b.due {
		if f.failed == nil {
			return true
		}
	}
	return b.writing()
}

func (b *bench) text(name string) string {
	text, _ := os.ReadFile(b.path(name))
	return string(text)
}

// wants runs the loop until a file has that text.
func (b *bench) wants(name, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s is %q", name, text), func() bool { return b.text(name) == text })
}

func (b *bench) saidOnce(part string) {
	b.t.Helper()
	if n := strings.Count(strings.Join(b.said, "\n"), part); n != 1 {
		b.t.Errorf("said %q %d times, want once: %q", part, n, b.said)
	}
}

func TestOutputIsRawAndInOrder(t *testing.T) {
	b := newBench(t)
	_, one := b.spawn("a.log")
	_, two := b.spawn("a.log")
	if _, err := os.Stat(b.path("a.log")); err == nil {
		t.Error("the file is there before any output")
	}
	want := ""
	for i := range 50 {
		fmt.Fprintf(one, "one %d\n", i)
		want += fmt.Sprintf("one %d\r\n", i)
		b.wants("a.log", want)
		fmt.Fprintf(two, "two\t%d\x00", i)
		want += fmt.Sprintf("two\t%d\x00", i)
		b.wants("a.log", want)
	}
	if got := string(b.Tail(b.path("a.log"))); got != want {
		t.Errorf("tail is %q", got)
	}
}

func TestModeIsExact(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		t.Run(fmt.Sprintf("%04o", umask), func(t *testing.T) {
			defer unix.Umask(unix.Umask(umask))
			b := newBench(t)
			_, pty := b.spawn("a.log")
			pty.WriteString("x")
			b.wants("a.log", "x")
			if st, _ := os.Stat(b.path("a.log")); st.Mode() != 0o640 {
				t.Errorf("mode is %v", st.Mode())
			}
		})
	}
}

func TestModeOfAFileThatWasThereStays(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(b.path("a.log"), []byte("old "), 0o600); err != nil {
		t.Fatal(err)
	}
	_, pty := b.spawn("a.log")
	pty.WriteString("new")
	b.wants("a.log", "old new")
	if st, _ := os.Stat(b.path("a.log")); st.Mode() != 0o600 {
		t.Errorf("mode is %v", st.Mode())
	}
}

func TestRemovedAndRenamedFilesAreOpenedAnew(t *testing.T) {
	b := newBench(t)
	_, pty := b.spawn("a.log")
	pty.WriteString("one")
	b.wants("a.log", "one")
	os.Rename(b.path("a.log"), b.path("a.log.1"))
	pty.WriteString("two")
	b.wants("a.log", "two")
	os.Remove(b.path("a.log"))
	pty.WriteString("three")
	b.wants("a.log", "three")
	b.wants("a.log.1", "one")
}

func TestSymbolicLinkIsNotFollowed(t *testing.T) {
	b := newBench(t)
	os.Symlink(b.path("elsewhere"), b.path("a.log"))
	_, pty := b.spawn("a.log")
	pty.WriteString("x")
	b.until("a warning", func() bool { return len(b.said) > 0 })
	if b.text("elsewhere") != "" {
		t.Error("the link was followed")
	}
	os.Remove(b.path("a.log"))
	b.wants("a.log", "x")
}

func TestMissingDirectory(t *testing.T) {
	b := newBench(t)
	token, pty := b.spawn("d/a.log")
	pty.WriteString("one ")
	b.until("a warning", func() bool { return len(b.said) > 0 })
	pty.WriteString("two")
	pty.Close()
	b.Release(token)
	b.until("the slot ends", func() bool { return len(b.slots) == 0 })
	if in, ok := b.Deadline(); !ok || in > longestPause {
		t.Errorf("deadline %v %v", in, ok)
	}
	os.Mkdir(b.path("d"), 0o755)
	b.wants("d/a.log", "one two")
	b.until("all is written", func() bool { return !b.working() })
	if _, ok := b.Deadline(); ok {
		t.Error("there is still a deadline")
	}
	b.saidOnce("Failed to write to log file " + b.path("d/a.log") + ": ")
}

func TestFlush(t *testing.T) {
	b := newBench(t)
	var got []error
	flush := func() error {
		got = nil
		b.Flush(func(err error) { got = append(got, err) })
		b.until("an answer", func() bool { return len(got) > 0 })
		return got[0]
	}
	if err := flush(); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	for _, name := range []string{"d/a.log", "d/b.log"} {
		token, pty := b.spawn(name)
		pty.WriteString(name)
		pty.Close()
		b.Release(token)
	}
	b.until("two warnings", func() bool { return len(b.said) == 2 })
	if err := flush(); err == nil || !strings.HasPrefix(err.Error(), b.path("d")+"/") { // of either writer
		t.Errorf("no directory: %v", err)
	}
	clear(b.due) // so that only Flush can do it
	os.Mkdir(b.path("d"), 0o755)
	if err := flush(); err != nil {
		t.Error(err)
	}
	b.wants("d/a.log", "d/a.log")
	b.wants("d/b.log", "d/b.log")
}

func TestDescendantsAreLoggedUntilTheLastOneIsGone(t *testing.T) {
	b := newBench(t)
	token, pty := b.spawn("a.log")
	pty.WriteString("main ")
	b.Release(token)
	b.wants("a.log", "main ")
	pty.WriteString("descendant")
	b.wants("a.log", "main descendant")
	if len(b.slots) != 1 {
		t.Error("the slot is gone")
	}
	pty.Close()
	b.until("the slot ends", func() bool { return len(b.slots) == 0 && !b.working() })
	if f := b.files[b.path("a.log")]; f.out.fd >= 0 {
		t.Error("the file is open")
	}
	if got := string(b.Tail(b.path("a.log"))); got != "main descendant" {
		t.Errorf("tail is %q", got)
	}
}

func TestFailedSpawnLeavesNothing(t *testing.T) {
	b := newBench(t)
	if _, err := b.Open(7, b.path("a.log")); err != nil {
		t.Fatal(err)
	}
	b.Failed(7)
	if len(b.slots) != 0 || len(b.p.fds) != 1 {
		t.Errorf("left: %v %v", b.slots, b.p.fds)
	}
}

func TestMastersCanBeAdopted(t *testing.T) {
	b, after := newBench(t), newBench(t)
	token, pty := b.spawn("a.log")
	b.Masters(func(tok uint64, path string, master int) {
		fd, err := unix.FcntlInt(uintptr(master), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil || tok != token || path != b.path("a.log") {
			t.Fatal(tok, path, err)
		}
		if err := after.Adopt(tok, path, fd); err != nil {
			t.Fatal(err)
		}
	})
	b.Close()
	pty.WriteString("x")
	after.until("output", func() bool { return b.text("a.log") == "x" })
}

// slow makes the writer wait before each write while it is held.
type slow struct {
	mu    sync.Mutex
	wrote int
}

func (s *slow) do(b *batch) {
	s.mu.Lock()
	s.wrote++
	s.mu.Unlock()
	b.do()
}

func TestSlowDiskLosesNothingAndDelaysNobody(t *testing.T) {
	b := newBench(t)
	disk := &slow{}
	b.writer.do = disk.do
	_, pty := b.spawn("a.log")
	disk.mu.Lock()
	line := bytes.Repeat([]byte("0123456789abcdef"), 64)
	const lines = 2000
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
	f := b.files[b.path("a.log")]
	b.until("back-pressure", func() bool { return f.paused })
	if n := f.collected.size; n > queueMax+readMax {
		t.Errorf("%d bytes in memory", n)
	}
	before := b.p.seen
	b.p.Wait(20 * time.Millisecond)
	if b.p.seen != before {
		t.Error("a pty that is not read is polled")
	}
	disk.mu.Unlock()
	want := strings.Repeat(string(line), lines)
	b.until("everything", func() bool { return len(b.text("a.log")) == len(want) })
	if b.text("a.log") != want {
		t.Error("the text is not what was printed")
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if got := string(b.Tail(b.path("a.log"))); got != want[len(want)-tailMax:] {
		t.Errorf("the tail has %d bytes", len(got))
	}
}

func TestIdleFilesAreBounded(t *testing.T) {
	b := newBench(t)
	chunk := strings.Repeat("x", 3000)
	for i := range 3 {
		token, pty := b.spawn(fmt.Sprintf("%d/a.log", i))
		pty.WriteString(chunk)
		pty.Close()
		b.Release(token)
		b.until("the slot ends", func() bool { return len(b.slots) == 0 && !b.working() })
	}
	b.kept += keptMax // as if many more were there
	token, pty := b.spawn("last/a.log")
	pty.WriteString(chunk)
	pty.Close()
	b.Release(token)
	b.until("all is forgotten", func() bool { return len(b.files) == 0 })
	b.saidOnce(b.path("0/a.log") + ": 3000 bytes of output dropped: No such file or directory")
}
