package bus

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkCall is one call after the other over one connection, by a client
// that only writes and reads bytes.
func BenchmarkCall(b *testing.B) {
	for _, m := range []struct {
		name string
		text string
	}{
		{"GetAllJobs", call(b, "GetAllJobs")},
		{"EmitEvent", call(b, "EmitEvent", "net-device-up", []string{"IFACE=eth0", "ADDRFAM=inet"}, true)},
	} {
		b.Run(m.name, func(b *testing.B) { benchCall(b, m.text, 1) })
		b.Run(m.name+"/pipelined", func(b *testing.B) { benchCall(b, m.text, 16) })
	}
}

func benchCall(b *testing.B, text string, depth int) {
	// Client and server wait in system calls, of which each holds one.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	w := newWorld(b, func(w *world) { w.forget = true })
	fd := w.raw()
	put(b, fd, hello)
	answers(b, fd, "AGREE_UNIX_FD\r\n")
	r := bufio.NewReader(blocking(fd))
	before := pss(b)
	b.ReportAllocs()
	b.ResetTimer()
	for sent, got := 0, 0; got < b.N; got++ {
		for sent < b.N && sent-got < depth {
			put(b, fd, text)
			sent++
		}
		skipMessage(b, r)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(pss(b)-before), "PSS-growth-kB")
}

type blocking int

func (fd blocking) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
		switch {
		case err == unix.EINTR:
			continue
		case n == 0 && err == nil:
			err = io.EOF
		}
		return max(n, 0), err
	}
}

func skipMessage(b *testing.B, r *bufio.Reader) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		b.Fatal(err)
	}
	if !bytes.HasPrefix(head, []byte("l\x02")) {
		b.Fatalf("not a reply: %q", head)
	}
	size, err := frame(head)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := r.Discard(int(size) - headerSize); err != nil {
		b.Fatal(err)
	}
}

// replies reads messages without looking into them.
type replies struct {
	fd blocking
	b  []byte
}

// read waits for more, and returns how many replies came.
func (r *replies) read() (n int, err error) {
	got, err := r.fd.Read(r.b[len(r.b):cap(r.b)])
	if err != nil {
		return 0, err
	}
	r.b = r.b[:len(r.b)+got]
	rest := r.b
	for {
		size, err := frame(rest)
		if err != nil || size == 0 || size > uint64(len(rest)) {
			r.b = append(r.b[:0], rest...)
			return n, err
		}
		switch rest[1] {
		case byte(returnMessage):
			n++
		case byte(errorMessage):
			return n, fmt.Errorf("an error came: %q", rest[:size])
		}
		rest = rest[size:]
	}
}

// pss returns the proportional share of memory of this process in kB; 0 where
// the kernel does not tell.
func pss(b *testing.B) int {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`\nPss: +(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return n
}
