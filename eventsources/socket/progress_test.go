package socket

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onset/eventsources"
)

// TestOneAtATime has a job take one of many that wait, again and again: it is
// never held back.
func TestOneAtATime(t *testing.T) {
	const waiting = 3 * burst
	path := filepath.Join(t.TempDir(), "fifo")
	port := freePort(t)
	for _, c := range []struct {
		operand string
		put     func(f *fake)
		take    func(f *fake, file *os.File)
	}{
		{"PROTO=fifo PATH=" + path, func(f *fake) {
			if err := os.WriteFile(path, []byte(strings.Repeat("\n", waiting)), 0); err != nil {
				t.Fatal(err)
			}
		}, func(_ *fake, file *os.File) {
			if _, err := file.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}},
		{"PROTO=inet PORT=" + port + " ADDR=127.0.0.1", func(f *fake) {
			for range waiting {
				f.dial("tcp4", "127.0.0.1:"+port)
			}
		}, func(_ *fake, file *os.File) {
			l, err := net.FileListener(file)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			l.Close()
		}},
	} {
		t.Run(strings.Fields(c.operand)[0], func(t *testing.T) {
			f := &fake{t: t, answers: make(chan error)}
			begin(t, New(), f, "/j: "+c.operand)
			f.await("fact socket")
			f.mu.Lock()
			file := f.files[c.operand]
			f.mu.Unlock()
			c.put(f)
			for n := range waiting {
				lines := f.await("wait socket")
				if text := strings.Join(lines, "\n"); strings.Contains(text, "log ") {
					t.Fatalf("after %d starts: %s", n, text)
				}
				c.take(f, file)
				f.Signal(eventsources.Signal{Kind: eventsources.InstanceAdded, Path: "/j"})
				f.answers <- nil
				f.Signal(eventsources.Signal{Kind: eventsources.InstanceRemoved, Path: "/j"})
			}
		})
	}
}
