package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/core/engine"
)

// TestLostNotifications drops what the kernel says and finds it out again.
func TestLostNotifications(t *testing.T) {
	s := newScript(t)
	n := s.w.(*notify)
	s.do("write", "src/a.conf", "one")
	s.do("write", "src/b.conf", "two")
	s.do("write", "src/d/c.conf", "three")
	s.start()
	s.got = nil
	n.mu.Lock()
	for name := range n.watched { // nothing is heard from here on
		n.fs.Remove(name)
	}
	s.do("rm", "src/a.conf", "")
	s.do("write", "src/b.conf", "four")
	s.do("mv", "src/d", "src/e")
	n.lookAtAll()
	for _, t := range n.trees {
		n.publish(t)
	}
	n.mu.Unlock()
	s.take()
	slices.Sort(s.got)
	s.wants([]string{"changed src/b.conf four", "changed src/e/c.conf three",
		"removed src/a.conf", "removed src/d/c.conf"}, "notifications were lost")
}

// TestOverflow makes the kernel drop notifications: the queue holds 16,384.
func TestOverflow(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short: a file is renamed 12,000 times")
	}
	s := newScript(t)
	n := s.w.(*notify)
	s.start()
	n.mu.Lock() // the goroutine stops reading
	a, b := filepath.Join(s.dir, "src/a.tmp"), filepath.Join(s.dir, "src/b.tmp")
	for i := range 12000 {
		if i == 0 {
			s.do("write", "src/a.tmp", "")
		}
		os.Rename(a, b)
		a, b = b, a
	}
	s.do("write", "src/last.conf", "one")
	n.mu.Unlock()
	s.wants([]string{"changed src/last.conf one"}, "overflow")
}

// TestSyncKnowsWhatWasDoneBefore is what a script relies on that installs a
// job and starts it.
func TestSyncKnowsWhatWasDoneBefore(t *testing.T) {
	s := newScript(t)
	s.start()
	for i := range 300 {
		path := fmt.Sprintf("src/%d.conf", i)
		s.do("write", path, "one")
		s.w.Sync()
		if s.take(); !slices.Equal(s.got, []string{"changed " + path + " one"}) {
			t.Fatalf("%d: got %q", i, s.got)
		}
		s.got = nil
	}
}

// TestSyncAfterOneThatGaveUp has the notification that an earlier Sync did not
// wait for come while the next one waits for its own.
func TestSyncAfterOneThatGaveUp(t *testing.T) {
	s := newScript(t)
	s.start()
	n := s.w.(*notify)
	for i := range 100 {
		a, b := fmt.Sprintf("src/%da.conf", i), fmt.Sprintf("src/%db.conf", i)
		n.mu.Lock() // nothing is handled
		s.do("write", a, "one")
		n.syncLimit = time.Nanosecond
		s.w.Sync()
		s.do("write", b, "one")
		n.syncLimit = 3 * time.Minute
		n.mu.Unlock()
		s.w.Sync()
		if s.take(); !slices.Equal(s.got, []string{"changed " + a + " one", "changed " + b + " one"}) {
			t.Fatalf("%d: got %q", i, s.got)
		}
		s.got = nil
	}
}

// TestSyncAfterLostNotifications has that be lost for which a Sync waits.
func TestSyncAfterLostNotifications(t *testing.T) {
	s := newScript(t)
	s.start()
	n := s.w.(*notify)
	s.do("write", "src/a.conf", "one")
	n.raised = true
	n.lost <- struct{}{}
	s.w.Sync()
	s.wants([]string{"changed src/a.conf one"}, "lost")
	if n.raised {
		t.Error("still waits")
	}
}

// TestSourcesInEachOther watches what two sources share once for both.
func TestSourcesInEachOther(t *testing.T) {
	s := newScript(t)
	s.do("mkdir", "src/d", "")
	s.start()
	s.w.Add(Source{Path: filepath.Join(s.dir, "src/d")})
	s.w.Add(Source{Path: filepath.Join(s.dir, "src/init.conf"), Kind: engine.InitConf})
	s.do("write", "src/d/a.conf", "one")
	s.wants([]string{"changed src/d/a.conf one", "changed src/d/a.conf one"}, "write")
	s.do("write", "src/init.conf", "one")
	s.wants([]string{"changed src/init.conf one", "changed src/init.conf one"}, "write")
	s.do("rm", "src/d", "")
	s.wants([]string{"removed src/d/a.conf", "removed src/d/a.conf", "source src/d"}, "rm")
}

// TestLinkThatComesAndGoes has a link removed while it is looked at, which is
// no link without a target.
func TestLinkThatComesAndGoes(t *testing.T) {
	s := newScript(t)
	s.do("write", "out/a", "one")
	link := filepath.Join(s.dir, "src/a.conf")
	tree := newTree(s.source(), nil)
	begin, over := make(chan struct{}), make(chan error)
	defer close(begin)
	go func() {
		for range begin {
			over <- os.Remove(link)
		}
	}()
	for range 1000 {
		os.Symlink("../out/a", link)
		tree.told = nil
		begin <- struct{}{}
		tree.scan(link)
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		for _, m := range tree.told {
			if m, ok := m.(engine.FileChanged); ok && m.File.Error != "" {
				t.Fatalf("told %+v", m.File)
			}
		}
	}
}

// TestAddDuringChanges reloads while files change, and knows the end state.
func TestAddDuringChanges(t *testing.T) {
	s := newScript(t)
	state := map[string]string{}
	note := func(f engine.File) { state[filepath.Base(f.Path)] = f.Text }
	apply := func() {
		for _, m := range s.w.Changes() {
			switch m := m.(type) {
			case engine.FileChanged:
				note(m.File)
			case engine.FileRemoved:
				delete(state, filepath.Base(m.Path))
			}
		}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range 600 {
			path := filepath.Join(s.dir, "src", fmt.Sprintf("%d.conf", i%7))
			if i%3 == 0 {
				os.Remove(path)
			} else {
				os.WriteFile(path, []byte(strings.Repeat(fmt.Sprint(i, " "), 100)), 0o644)
			}
		}
	}()
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		apply()
		clear(state)
		for _, f := range s.w.Add(s.source()).Files {
			note(f)
		}
	}
	for limit := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Millisecond) {
		s.w.Sync()
		apply()
		want := map[string]string{}
		for _, f := range Load(s.source(), t.Logf).Files {
			want[filepath.Base(f.Path)] = f.Text
		}
		if fmt.Sprint(want) == fmt.Sprint(state) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("know %d files, there are %d", len(state), len(want))
		}
	}
}

// TestUnknownWriters is a file system or a user without leases.
func TestUnknownWriters(t *testing.T) {
	old := writers
	writers = func(int) answer { return unknown }
	defer func() { writers = old }()
	s := newScript(t)
	defer s.w.Close() // before writers is put back
	s.start()
	n := s.w.(*notify)
	n.mu.Lock() // a pause of settled between these two would be taken for the end
	s.do("open", "src/a.conf", "")
	s.do("append", "src/a.conf", "one")
	n.mu.Unlock()
	s.do("close", "src/a.conf", "")
	s.wants([]string{"changed src/a.conf one"}, "close")
	past := time.Now().Add(-time.Hour)
	s.do("write", "out/b.conf", "two")
	os.Chtimes(filepath.Join(s.dir, "out/b.conf"), past, past)
	s.do("mv", "out/b.conf", "src/b.conf")
	s.w.Sync()
	s.take()
	s.wants([]string{"changed src/b.conf two"}, "mv")
}

// TestWriterBetweenQuestionAndAnswer has somebody begin to write, which makes a
// file empty, right before and right after the kernel is asked for writers at last.
func TestWriterBetweenQuestionAndAnswer(t *testing.T) {
	old := writers
	defer func() { writers = old }()
	s := newScript(t)
	defer s.w.Close() // before writers is put back
	s.start()
	n := s.w.(*notify)
	for _, before := range []bool{true, false} {
		asked := 0 // the second time after the reading
		n.mu.Lock()
		writers = func(fd int) answer {
			if asked++; asked == 2 && before {
				s.do("open", "src/a.conf", "")
			}
			a := old(fd)
			if asked == 2 && !before {
				s.do("open", "src/a.conf", "")
			}
			return a
		}
		n.mu.Unlock()
		s.do("write", "out/a", "one")
		past := time.Now().Add(-time.Hour)
		os.Chtimes(filepath.Join(s.dir, "out/a"), past, past)
		s.do("mv", "out/a", "src/a.conf")
		if before {
			s.w.Sync()
		} else {
			s.wants([]string{"changed src/a.conf one"}, "mv")
		}
		n.mu.Lock()
		s.do("append", "src/a.conf", "two")
		s.do("close", "src/a.conf", "")
		n.mu.Unlock()
		s.wants([]string{"changed src/a.conf two"}, "close")
		delete(s.open, "src/a.conf")
	}
}

func TestNone(t *testing.T) {
	s := newScript(t)
	s.w.Close()
	s.w = None(t.Logf)
	s.do("write", "src/a.conf", "one")
	s.start()
	s.wants([]string{"loaded src/a.conf one"}, "start")
	s.do("write", "src/a.conf", "two")
	s.w.Sync()
	if s.take(); len(s.got) > 0 {
		t.Errorf("got %q", s.got)
	}
	s.start()
	s.wants([]string{"loaded src/a.conf two"}, "start")
}

// TestNoNotification is a kernel that has none left to give.
func TestNoNotification(t *testing.T) {
	var said []string
	w := none{func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }, os.ErrPermission}
	w.Add(Source{Path: "/nowhere/init"})
	w.Add(Source{Path: "/nowhere/init.conf", Kind: engine.InitConf})
	want := []string{"/nowhere/init: Unable to watch configuration directory: permission denied",
		"/nowhere/init.conf: Unable to watch configuration file: permission denied"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
}

func TestSourceThatIsNoDirectory(t *testing.T) {
	s := newScript(t)
	s.do("rm", "src", "")
	s.do("write", "src", "text")
	s.start()
	s.wants([]string{"error Not a directory"}, "start")
}

func BenchmarkAdd10000(b *testing.B) {
	dir := b.TempDir()
	for i := range 10000 {
		os.WriteFile(fmt.Sprintf("%s/%d.conf", dir, i), []byte("start on startup\nexec /bin/true\n"), 0o644)
	}
	w := New(func() {}, b.Logf)
	defer w.Close()
	for b.Loop() {
		w.Add(Source{Path: dir})
	}
}

func BenchmarkSync(b *testing.B) {
	w := New(func() {}, b.Logf)
	defer w.Close()
	w.Add(Source{Path: b.TempDir()})
	for b.Loop() {
		w.Sync()
	}
}
