//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// makeGroup makes a cgroup for init below our own, so that the groups of jobs
// can be removed after it; nil where there cannot be one.
func makeGroup() *os.File {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		own, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok {
			continue
		}
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			var st unix.Statfs_t
			if unix.Statfs(root, &st) != nil || int64(st.Type) != unix.CGROUP2_SUPER_MAGIC {
				continue
			}
			group := filepath.Join(root, own, fmt.Sprintf("onset-run-%d", os.Getpid()))
			if os.Mkdir(group, 0o755) != nil {
				continue
			}
			if f, err := os.Open(group); err == nil {
				return f
			}
		}
	}
	return nil
}

// removeGroup removes a group without processes, and all below it.
func removeGroup(group string) {
	var groups []string
	filepath.WalkDir(group, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, name)
		}
		return nil
	})
	slices.Reverse(groups) // the innermost first
	for _, name := range groups {
		os.Remove(name)
	}
}
