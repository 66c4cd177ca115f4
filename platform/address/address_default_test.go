//go:build !linux

package address

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSession(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b,c")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := Session(dir)
	if want := fmt.Sprintf("/a%%20b%%2cc/upstart/%d.socket", os.Getpid()); err != nil || !strings.HasPrefix(got, "unix:path=/") || !strings.HasSuffix(got, want) {
		t.Errorf("%q, %v; want one that ends in %q", got, err, want)
	}
	socket := filepath.Join(dir, "upstart", fmt.Sprintf("%d.socket", os.Getpid()))
	if err := os.WriteFile(socket, nil, 0o600); err != nil { // so the directory was made
		t.Fatal(err)
	}
	Remove(got)
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("removed, and there: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, "upstart"), 0o777); err != nil {
		t.Fatal(err)
	}
	if got, err := Session(dir); err == nil {
		t.Errorf("%q where others may write", got)
	}
	if got, err := Session("relative"); err != nil || !strings.HasPrefix(got, fmt.Sprintf("unix:path=/tmp/upstart-%d/", os.Getuid())) {
		t.Errorf("without a directory %q, %v", got, err)
	}
}
