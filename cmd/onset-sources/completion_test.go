package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	dir := t.TempDir()
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, "onset-sources"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{"de": "devctl", "--su": "--suspend-timeout", "--us": "--user", "nonesuch": ""} {
		cmd := exec.Command(bash, "-c", `. "$0"; COMP_WORDS=(onset-sources "$1"); COMP_CWORD=1; _onset_sources; echo ${COMPREPLY[*]}`,
			"../../completion/onset-sources", word)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", word, got, err, want)
		}
	}
}
