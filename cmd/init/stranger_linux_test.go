package main

import (
	"os"
	"syscall"
	"testing"
)

// TestStrangerIsToldSo has somebody ask the session of another user.
func TestStrangerIsToldSo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can be somebody else")
	}
	s := startSession(t, nil)
	cmd := s.initctl("list")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &nobody}
	out, err := cmd.CombinedOutput()
	if want := "initctl: Unable to connect to Upstart: Authentication was rejected\n"; err == nil || string(out) != want {
		t.Errorf("%v, %q", err, out)
	}
}
