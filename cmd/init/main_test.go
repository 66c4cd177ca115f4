//go:build linux || freebsd

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what takes milliseconds, or a busy
// machine much longer: it only keeps tests from hanging.
const patience = 3 * time.Minute

// programs is the folder of init and initctl as they are installed, and of
// what "make run" runs. ONSET_TEST_PROGRAMS names it where there is no Go to
// build them with. Else it lies outside of /tmp, which the scenarios of ../shared replace, and anybody may
// read it.
var programs string

func TestMain(m *testing.M) {
	playRole()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if programs = os.Getenv("ONSET_TEST_PROGRAMS"); programs != "" {
		return m.Run()
	}
	if _, err := exec.LookPath("go"); err != nil {
		fmt.Fprintln(os.Stderr, "skipped: no Go to build init with, and ONSET_TEST_PROGRAMS names no folder with it")
		return 0
	}
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

func buildPrograms() error {
	if err := noteSources(filepath.Join("..", "..")); err != nil {
		return err
	}
	build := exec.Command("go", append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", programs + "/"}, toBuild...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the programs: %v\n%s", err, out)
	}
	return nil
}

// noteSources looks at each source file, so that "go test" knows that a result
// it has kept is no longer good when one of them changes.
func noteSources(root string) error {
	for _, dir := range []string{"core", "platform", "eventsources", "cmd", "ci"} {
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
