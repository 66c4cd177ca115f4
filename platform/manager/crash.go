package manager

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"onset/core/engine"
	"onset/platform/posix"
)

const (
	crashName = "crash" // in the keeper's store
	crashMax  = 1 << 20 // bytes of a report
)

// catchCrash has what Go says when this process crashes go to memory that the
// keeper holds, for the next manager to file.
func (m *Manager) catchCrash() {
	fd, err := posix.Memory("onset-crash", nil)
	if err != nil {
		m.warn("a crash will not be reported: %s", err)
		return
	}
	f := os.NewFile(uintptr(fd), crashName)
	defer f.Close()
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		m.warn("a crash will not be reported: %s", err)
		return
	}
	m.kept.store(crashName, fd)
}

// fileCrash tells what the manager before said when it crashed, if it did.
func (m *Manager) fileCrash(fd int) {
	report := make([]byte, crashMax)
	f := os.NewFile(uintptr(fd), crashName)
	defer f.Close()
	n, _ := f.ReadAt(report, 0)
	if n == 0 {
		return
	}
	path := filepath.Join(m.c.Engine.LogDir, "init.crash")
	first, _, _ := bytes.Cut(report[:n], []byte("\n"))
	m.say(engine.Error, fmt.Sprintf("The manager crashed, %s says how: %s", path, first))
	m.keepFile(path, report[:n])
}
