//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// programs is the folder of init and initctl as they are installed, and of
// what "make run" runs. It lies outside of /tmp, which the scenarios of ../shared replace, and anybody may
// read it.
var programs string

func TestMain(m *testing.M) {
	if trick := os.Getenv("ONSET_ESCAPE"); trick != "" {
		escape(trick)
	}
	if os.Getenv(clientMark) != "" {
		beClient(os.Args[1:])
		return
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	defaultCancelSignal()
	dir, err := os.MkdirTemp("/var/tmp", "onset-test")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if err == nil {
		programs = dir
		err = buildPrograms()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// defaultCancelSignal undoes what the C library's posix_spawn, and so make,
// does to its children: it ignores the signal that cancels threads, which jobs
// would inherit and show.
func defaultCancelSignal() {
	const cancel = 32
	var action struct{ handler, flags, restorer, mask uint64 } // zero = default
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, cancel, uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
}

func buildPrograms() error {
	if err := noteSources(filepath.Join("..", "..")); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", programs+"/", ".", "../initctl", "../../ci/run")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the programs: %v\n%s", err, out)
	}
	return nil
}

// noteSources looks at each source file, so that "go test" knows that a result
// it has kept is no longer good when one of them changes.
func noteSources(root string) error {
	for _, dir := range []string{"core", "platform", "cmd", "ci"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				_, err = os.Stat(name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func program(name string) string { return filepath.Join(programs, name) }
