package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// listSessions prints the session inits of the user (UPSTART §7.6) and
// removes what dead ones left behind (DECISIONS 23).
func (t *tool) listSessions([]string) error {
	noDir := spoken("Unable to query session directory")
	run := t.getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(run) {
		return noDir
	}
	dir := filepath.Join(run, "upstart", "sessions")
	if os.MkdirAll(dir, 0o700) != nil {
		return noDir
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return noDir
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".session")
		pid, err := strconv.ParseUint(digits, 10, 31)
		if ok && err == nil && pid > 0 {
			t.listSession(int(pid), filepath.Join(dir, e.Name()))
		}
	}
	return nil
}

func (t *tool) listSession(pid int, path string) {
	if err := syscall.Kill(pid, 0); err != nil {
		if t.opts.has("verbose") {
			t.print("Ignoring stale session file: " + path + "\n")
		}
		if errors.Is(err, syscall.ESRCH) {
			os.Remove(path)
		}
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if address, ok := strings.CutPrefix(line, "UPSTART_SESSION="); ok {
		t.print(strconv.Itoa(pid) + " " + address + "\n")
	}
}
