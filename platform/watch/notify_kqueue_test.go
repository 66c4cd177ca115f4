//go:build freebsd

package watch

import (
	"slices"
	"testing"
	"time"
)

// TestTooFewDescriptors has more files than may be watched, at first or later:
// then none of the source are, and a full load finds what has changed.
func TestTooFewDescriptors(t *testing.T) {
	s := newScript(t)
	n := s.w.(*notify)
	n.most = 4 // the directory and three files
	for _, name := range []string{"a", "b", "c"} {
		s.do("write", "src/"+name+".conf", "one")
	}
	s.start()
	s.wants([]string{"loaded src/a.conf one", "loaded src/b.conf one", "loaded src/c.conf one"}, "start")
	s.do("write", "src/d.conf", "one")
	s.wants([]string{"changed src/d.conf one"}, "write")
	said := "src: Unable to watch configuration directory: Too many open files"
	if !slices.Equal(s.warned, []string{said}) {
		t.Errorf("warned %q", s.warned)
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Millisecond) {
		n.mu.Lock()
		left := len(n.watched)
		n.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d are watched", left)
		}
	}
	s.do("write", "src/a.conf", "two")
	s.w.Sync()
	if s.take(); len(s.got) > 0 {
		t.Errorf("got %q", s.got)
	}
	s.warned = nil
	s.start()
	if !slices.Contains(s.got, "loaded src/a.conf two") || !slices.Equal(s.warned, []string{said}) {
		t.Errorf("got %q, warned %q", s.got, s.warned)
	}
	n.most = 100
	s.got = nil
	s.start()
	s.got = nil
	s.do("write", "src/a.conf", "three")
	s.wants([]string{"changed src/a.conf three"}, "write")
}

// TestWritingInPlace goes on after the file, and its directory, were replaced.
func TestWritingInPlace(t *testing.T) {
	s := newScript(t)
	s.do("write", "src/d/a.conf", "one")
	s.start()
	s.got = nil
	for _, replace := range []func(){
		func() { s.do("write", "out/a.conf", "new"); s.do("mv", "out/a.conf", "src/d/a.conf") },
		func() {
			s.do("mv", "src/d", "out/d")
			s.do("write", "src/d/a.conf", "new")
		},
		func() { s.do("rm", "src/d", ""); s.do("write", "src/d/a.conf", "new") },
	} {
		replace()
		s.w.Sync()
		s.take()
		if !slices.Contains(s.got, "changed src/d/a.conf new") {
			t.Errorf("got %q", s.got)
		}
		s.got = nil
		s.do("write", "src/d/a.conf", "in place")
		s.wants([]string{"changed src/d/a.conf in place"}, "write")
		s.do("rm", "out/d", "")
	}
}
