package bus

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// startInit starts a session init without jobs, and connects to it.
func startInit(b *testing.B) (fd int) {
	dir := b.TempDir()
	init := filepath.Join(dir, "init")
	if out, err := exec.Command("go", "build", "-o", init, "../../cmd/init").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(init, "--user", "--no-dbus", "--confdir", dir, "--logdir", dir)
	cmd.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=/bin"}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address := fmt.Sprintf("unix:abstract=/com/ubuntu/upstart-session/%d/%d", os.Getuid(), cmd.Process.Pid)
	eventually(b, "init listens", func() (ok bool) {
		var err error
		fd, err = connect(address)
		return err == nil
	})
	b.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetNonblock(fd, false); err != nil {
		b.Fatal(err)
	}
	return fd
}

// BenchmarkEventsThroughOneConnection is the whole way of events that nobody
// takes, from a client to init and its answers: each is a reply and a signal.
func BenchmarkEventsThroughOneConnection(b *testing.B) {
	const window, batch = 256, 64
	fd := startInit(b)
	put(b, fd, hello)
	answers(b, fd, "AGREE_UNIX_FD\r\n")
	one := []byte(call(b, "EmitEvent", "net-device-up", []string{"IFACE=eth0", "ADDRFAM=inet"}, false))
	in := replies{fd: blocking(fd), b: make([]byte, 0, 256<<10)}
	var out []byte
	b.ResetTimer()
	for sent, got := 0, 0; got < b.N; {
		for sent < b.N && sent-got <= window-batch {
			out = out[:0]
			for range min(batch, b.N-sent) {
				sent++
				binary.LittleEndian.PutUint32(one[8:], uint32(sent))
				out = append(out, one...)
			}
			put(b, fd, string(out))
		}
		n, err := in.read()
		if err != nil {
			b.Fatal(err)
		}
		got += n
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
