package local

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// clientMark in the environment makes the test binary write its second
// argument to the socket that is its first.
const clientMark = "ONSET_TEST_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(clientMark) != "" {
		conn, err := net.Dial("unix", os.Args[1])
		if err != nil {
			os.Exit(1)
		}
		conn.Write([]byte(os.Args[2])) // fails where the other end closed
		conn.Close()
		return
	}
	os.Exit(m.Run())
}

// asUser has another user write to a socket, in whose folder the program of the
// tests is put.
func asUser(t *testing.T, uid uint32, path, text string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(filepath.Dir(path), "client")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, path, text)
	cmd.Env = []string{clientMark + "=yes"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
