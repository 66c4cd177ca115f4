//go:build linux || freebsd

package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	file, err := filepath.Abs(filepath.Join("..", "..", "completion", "initctl"))
	if err != nil {
		t.Fatal(err)
	}
	s := startSession(t, map[string]string{"foo.conf": "exec true\n", "food.conf": "exec true\n", "bar.conf": "exec true\n"})
	s.link(commandNames(t))
	for _, tt := range []struct{ line, want string }{
		{"initctl rest", "restart"},
		{"initctl --quiet notify-d", "notify-disk-writeable notify-dbus-address"},
		{"initctl start fo", "foo food"},
		{"initctl start foo f", ""},
		{"stop b", "bar"},
		{"stop --no-wait b", "bar"},
		{"initctl --quiet why --all fo", "foo food"},
		{"initctl list --j", "--json"},
		{"start --no", "--no-wait"},
		{"initctl log-priority e", "error"},
		{"initctl fact s", "set"},
	} {
		words := strings.Fields(tt.line)
		got := s.shell("bash -c 'source " + file + "; COMP_WORDS=(" + tt.line + ") COMP_CWORD=" + string(rune('0'+len(words)-1)) +
			"; _initctl; echo ${COMPREPLY[@]}'")
		if !slices.Equal(strings.Fields(got), strings.Fields(tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.line, got, tt.want)
		}
	}
}
