package freebsd

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/platformtest"
	"onset/platform/posix"
)

func TestMain(m *testing.M) {
	platformtest.Main(backend)
	listenMain()
	unix.Umask(0o022)
	os.Exit(m.Run())
}

// TestConformance has managers that a test kills find the groups of one another
// in a file.
func TestConformance(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: ids and roots of processes")
	}
	if err := posix.AdoptOrphans(); err != nil {
		t.Fatal(err)
	}
	t.Setenv(platformtest.GroupsEnv, t.TempDir()+"/groups")
	platformtest.Run(t, backend)
}

func backend() (platform.Poller, platform.Processes) {
	poller, err := NewPoller()
	if err != nil {
		panic(err)
	}
	warn := func(s string) { fmt.Fprintln(os.Stderr, s) }
	procs, err := NewProcesses(poller, Options{Umask: 0o022, Alone: true, Console: platformtest.ConsolePath, Warn: warn})
	if err != nil {
		panic(err)
	}
	procs.Remember(groupMemory())
	return poller, procs
}

func groupMemory() []byte {
	file, err := os.OpenFile(os.Getenv(platformtest.GroupsEnv), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = file.Truncate(int64(GroupMemory))
	}
	if err != nil {
		panic(err)
	}
	defer file.Close()
	memory, err := unix.Mmap(int(file.Fd()), 0, GroupMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return memory
}
