package joblog

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

const printed = 32 << 20 // bytes of 64-byte lines

// BenchmarkCopy moves what another process prints through a pty into a file: a
// loop of read and write in C, the same in Go, and Logs. They differ in
// nothing else.
func BenchmarkCopy(b *testing.B) {
	input := filepath.Join(b.TempDir(), "input")
	line := append(bytes.Repeat([]byte("x"), 63), '\n')
	if err := os.WriteFile(input, bytes.Repeat(line, printed/len(line)), 0o600); err != nil {
		b.Fatal(err)
	}
	ways := []struct {
		name string
		run  func(*testing.B, string)
	}{{"way=c", copyByC(b)}, {"way=loop", copyByLoop}, {"way=joblog", copyByLogs}}
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			b.SetBytes(printed)
			for b.Loop() {
				w.run(b, input)
			}
		})
	}
}

// cat starts a process that prints input and returns a function to wait for
// it. slave is closed here.
func cat(b *testing.B, input string, slave int) (wait func()) {
	terminal := os.NewFile(uintptr(slave), "pty")
	defer terminal.Close()
	cmd := exec.Command("cat", input)
	cmd.Stdout = terminal
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return func() { cmd.Wait() }
}

const copier = `
#include <unistd.h>
static char buf[65536];
int main(void) {
	ssize_t n;
	while ((n = read(0, buf, sizeof buf)) > 0)
		if (write(1, buf, n) != n)
			return 1;
	return 0;
}
`

// copyByC has a C program copy its standard input, the pty, to its standard
// output, the file.
func copyByC(b *testing.B) func(*testing.B, string) {
	program := filepath.Join(b.TempDir(), "copy")
	if err := os.WriteFile(program+".c", []byte(copier), 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command("cc", "-O2", "-o", program, program+".c").CombinedOutput(); err != nil {
		return func(b *testing.B, _ string) { b.Skipf("SKIPPED: needs a C compiler: %v %s", err, out) }
	}
	return func(b *testing.B, input string) {
		master, slave, err := posix.OpenPTY()
		if err != nil {
			b.Fatal(err)
		}
		unix.SetNonblock(master, false)
		terminal := os.NewFile(uintptr(master), "master")
		defer terminal.Close()
		out, err := os.OpenFile(filepath.Join(b.TempDir(), "a.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			b.Fatal(err)
		}
		defer out.Close()
		cmd := exec.Command(program)
		cmd.Stdin, cmd.Stdout = terminal, out
		wait := cat(b, input, slave)
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		wait()
		if st, err := out.Stat(); err != nil || st.Size() != printed+printed/64 {
			b.Fatal("output is missing", err)
		}
	}
}

func copyByLoop(b *testing.B, input string) {
	master, slave, err := posix.OpenPTY()
	if err != nil {
		b.Fatal(err)
	}
	unix.SetNonblock(master, false)
	defer unix.Close(master)
	out, err := unix.Open(filepath.Join(b.TempDir(), "a.log"), unix.O_CREAT|unix.O_APPEND|unix.O_WRONLY, 0o640)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(out)
	defer cat(b, input, slave)()
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(master, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		if _, err := unix.Write(out, buf[:n]); err != nil {
			b.Fatal(err)
		}
	}
}

func copyByLogs(b *testing.B, input string) {
	l := newBench(b)
	token, terminal := l.spawn("a.log")
	fd, err := unix.FcntlInt(terminal.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	terminal.Close()
	wait := cat(b, input, fd)
	for len(l.slots) > 0 || l.working() {
		wait := -time.Millisecond
		if in, ok := l.Deadline(); ok {
			wait = in + time.Millisecond
		}
		l.p.Wait(wait)
		l.Collect()
	}
	wait()
	l.Release(token)
	if st, err := os.Stat(l.path("a.log")); err != nil || st.Size() != printed+printed/64 {
		b.Fatal("output is missing", err)
	}
}
