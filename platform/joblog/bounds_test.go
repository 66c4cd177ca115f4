package joblog

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHungDiskDelaysNobodyElse has a disk that does not answer for some files.
func TestHungDiskDelaysNobodyElse(t *testing.T) {
	b := newBench(t)
	hung := make(chan struct{})
	b.writer.do = func(bt *batch) {
		if strings.Contains(bt.file.path, "hung") {
			<-hung
		}
		bt.do()
	}
	for i := range goroutinesMax - 1 {
		_, pty := b.spawn(fmt.Sprintf("hung%d.log", i))
		pty.WriteString("late")
	}
	b.until("the disk hangs", func() bool { return b.busy() == goroutinesMax-1 })
	_, pty := b.spawn("a.log")
	pty.WriteString("one")
	b.wants("a.log", "one")
	pty.WriteString("two")
	b.wants("a.log", "onetwo")
	close(hung)
	b.wants("hung0.log", "late")
}

// TestFlushOfNothing has a file that lost all that was refused, before and after
// a Flush.
func TestFlushOfNothing(t *testing.T) {
	b := newBench(t)
	_, pty := b.spawn("d/a.log")
	f := b.files[b.path("d/a.log")]
	answers := []error{}
	flush := func() { b.Flush(func(err error) { answers = append(answers, err) }) }
	b.most = -1
	pty.WriteString("one")
	b.until("the refusal", func() bool { return f.dropped == 3 })
	flush()
	if want := []error{nil}; !slices.Equal(answers, want) {
		t.Fatalf("got %v", answers)
	}
	b.most = 1 << 20
	pty.WriteString("two")
	b.until("two", func() bool { return f.collected.size == 3 && !f.busy })
	b.send(f)
	flush()
	b.most = -1
	b.until("an answer", func() bool { return len(answers) == 2 })
	if answers[1] == nil || f.dropped != 6 {
		t.Errorf("got %v, %d bytes were dropped", answers[1], f.dropped)
	}
}

// TestTwoBatchesForOneThatRests has the second batch come before the goroutine
// that the first one woke has looked.
func TestTwoBatchesForOneThatRests(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that it does not look meanwhile
	for range 20 {
		hung, written := make(chan struct{}), make(chan struct{}, 2)
		w := newWriter(func() {}, 1<<30)
		w.do = func(b *batch) {
			if b.file.path == "hung.log" {
				<-hung
			}
			written <- struct{}{}
		}
		batchOf := func(path string) *batch { return &batch{file: &file{path: path, out: output{fd: -1}}} }
		w.put(batchOf("a.log"))
		<-written
		for rests := false; !rests; {
			runtime.Gosched()
			w.mu.Lock()
			rests = w.resting == 1
			w.mu.Unlock()
		}
		w.put(batchOf("hung.log"))
		w.put(batchOf("b.log"))
		select {
		case <-written:
		case <-time.After(3 * time.Minute):
			t.Fatal("nobody writes the second")
		}
		close(hung)
		w.close()
	}
}

func (b *bench) busy() (n int) {
	for _, f := range b.files {
		if f.busy {
			n++
		}
	}
	return n
}

// TestPipeThatNobodyReads has a log that is no file: it is not waited for.
func TestPipeThatNobodyReads(t *testing.T) {
	b := newBench(t)
	if err := unix.Mkfifo(b.path("a.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, pty := b.spawn("a.log")
	pty.WriteString("one ")
	b.until("a warning", func() bool { return len(b.said) > 0 })
	fd, err := unix.Open(b.path("a.log"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	size := pipeHolds(t, fd)
	want := "one " + strings.Repeat("0123456789abcdef", 4*size/16)
	go pty.WriteString(want[4:])
	f := b.files[b.path("a.log")]
	b.until("the pipe is full", func() bool { return f.failed == unix.EAGAIN && b.held > size })
	var got []byte
	buf := make([]byte, 4096)
	b.until("all of it", func() bool {
		if n, err := unix.Read(fd, buf); err == nil {
			got = append(got, buf[:n]...)
		}
		b.send(f)
		return len(got) >= len(want)
	})
	if string(got) != want {
		t.Error("it is not what was printed")
	}
}

// checkHeld checks that what is held is counted.
func (b *bench) checkHeld() {
	b.t.Helper()
	sum := 0
	for _, f := range b.files {
		sum += f.collected.size
		if f.busy {
			sum += f.batch.data.size
		}
	}
	if sum != b.held && !b.writing() {
		b.t.Errorf("%d bytes are held, counted as %d", sum, b.held)
	}
}

// TestAllThatWasRefusedIsBounded has jobs print more than fits together. While
// batches are tried again only the other files can lose some, all if need be.
func TestAllThatWasRefusedIsBounded(t *testing.T) {
	t.Run("tried again", func(t *testing.T) { testRefused(t, true) })
	t.Run("left alone", func(t *testing.T) { testRefused(t, false) })
}

func testRefused(t *testing.T, again bool) {
	b := newBench(t)
	b.most = 1 << 20
	const jobs = 10
	text := strings.Repeat("0123456789abcde ", 20<<10) // 320 KiB
	wrote := make(chan error, jobs)
	for i := range jobs {
		_, pty := b.spawn(fmt.Sprintf("d/%d.log", i))
		if !again {
			pty.WriteString(text[:16])
			f := b.files[b.path(fmt.Sprintf("d/%d.log", i))]
			b.until("the refusal", func() bool { return f.failed != nil })
			f.tried = time.Now().Add(time.Hour)
		}
		go func() {
			_, err := pty.WriteString(text)
			wrote <- err
		}()
	}
	done := 0
	b.until("no job is slowed down", func() bool {
		select {
		case err := <-wrote:
			if err != nil {
				t.Error(err)
			}
			done++
		default:
		}
		if b.held > b.most+jobs*(readMax+readSize) {
			t.Fatalf("%d bytes are held", b.held)
		}
		return done == jobs
	})
	b.until("all is refused", func() bool { return !b.working() })
	b.checkHeld()
	os.Mkdir(b.path("d"), 0o755)
	answered := false
	b.Flush(func(err error) { answered = err == nil })
	b.until("all is written", func() bool { return answered && !b.working() })
	b.checkHeld()
	gaps := 0
	for i := range jobs {
		got := b.text(fmt.Sprintf("d/%d.log", i))
		_, rest, gap := strings.Cut(got, " bytes of output dropped: No such file or directory\r\n")
		if !gap {
			rest = got
		} else {
			gaps++
		}
		if !strings.HasSuffix(text, rest) {
			t.Errorf("%d: the last %d bytes are not what was printed", i, len(rest))
		}
		if !again && len(rest) < b.most/jobs/4 {
			t.Errorf("%d: only %d bytes are left", i, len(rest))
		}
	}
	if gaps == 0 {
		t.Error("nothing was dropped")
	}
}

// TestSlowDiskBoundsAllFiles has more output for a slow disk than may be held.
func TestSlowDiskBoundsAllFiles(t *testing.T) {
	b := newBench(t)
	b.most = 256 << 10
	disk := &slow{}
	b.writer.do = disk.do
	disk.mu.Lock()
	const jobs = 20
	text := strings.Repeat("0123456789abcde ", 24<<10) // 384 KiB: none is read to its end
	for i := range jobs {
		_, pty := b.spawn(fmt.Sprintf("%d.log", i))
		go pty.WriteString(text)
	}
	b.until("back-pressure", func() bool {
		paused := 0
		for _, f := range b.files {
			if f.paused {
				paused++
			}
		}
		return paused == jobs
	})
	if b.held > b.most+jobs*(readMax+readSize) {
		t.Errorf("%d bytes are held", b.held)
	}
	disk.mu.Unlock()
	b.until("everything", func() bool {
		for i := range jobs {
			if st, err := os.Stat(b.path(fmt.Sprintf("%d.log", i))); err != nil || st.Size() < int64(len(text)) {
				return false
			}
		}
		return !b.working()
	})
	for i := range jobs {
		if b.text(fmt.Sprintf("%d.log", i)) != text {
			t.Errorf("%d: the text is not what was printed", i)
		}
	}
	if b.held != 0 {
		t.Errorf("%d bytes are held at the end", b.held)
	}
}

// TestATurnIsBounded has many jobs that print without end.
func TestATurnIsBounded(t *testing.T) {
	b := newBench(t)
	const jobs = 40
	for i := range jobs {
		_, pty := b.spawn(fmt.Sprintf("%d.log", i))
		go func() {
			for {
				if _, err := pty.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}()
	}
	most, turns := 0, 0
	b.until("every job is read, and often", func() bool { // Collect ended the turn
		b.p.Wait(100 * time.Millisecond)
		most = max(most, b.turn)
		turns++
		for _, f := range b.files {
			if f.tail.size() < tailMax {
				return false
			}
		}
		return turns >= 50
	})
	if most > turnMax+jobs*readSize {
		t.Errorf("%d bytes were read in a turn", most)
	}
}

func TestWhatIsNotWrittenIsHandedOver(t *testing.T) {
	b, after := newBenchOn(t, nil), newBench(t)
	hung := make(chan struct{})
	defer close(hung)
	b.writer.do = func(bt *batch) {
		if strings.HasSuffix(bt.file.path, "hung.log") {
			<-hung
		}
		bt.do()
	}
	for _, name := range []string{"a.log", "d/b.log", "hung.log"} {
		_, pty := b.spawn(name)
		pty.WriteString("one ")
		f := b.files[b.path(name)]
		b.until("output", func() bool { return len(f.tail.bytes()) == 4 })
		pty.WriteString("two")
		b.until("output", func() bool { return len(f.tail.bytes()) == 7 })
	}
	got := map[string]string{}
	b.Unwritten(func(path string, output []byte) {
		name, _ := filepath.Rel(b.dir, path)
		got[name] = string(output)
		after.Restore(after.path(name), output)
	})
	if want := map[string]string{"d/b.log": "one two", "hung.log": "one two"}; !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if b.text("a.log") != "one two" {
		t.Errorf("a.log is %q", b.text("a.log"))
	}
	after.wants("hung.log", "one two")
	os.Mkdir(after.path("d"), 0o755)
	after.wants("d/b.log", "one two")
	after.until("rest", func() bool { return !after.working() })
	if after.held != 0 || len(after.idle) != 2 {
		t.Errorf("%d bytes held, %d files at rest", after.held, len(after.idle))
	}
}
