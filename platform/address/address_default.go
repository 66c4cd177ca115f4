//go:build !linux

package address

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const scheme = "unix:path="

// System is the address of process 1.
const System = scheme + "/var/run/upstart/control"

// Session returns the address of this process as the init of a session: in
// the user's runtime directory (XDG_RUNTIME_DIR), or without one in a
// directory below /tmp that is the user's alone. It makes the directory.
func Session(runtimeDir string) (string, error) {
	dir := filepath.Join("/tmp", "upstart-"+strconv.Itoa(os.Getuid()))
	if filepath.IsAbs(runtimeDir) {
		dir = filepath.Join(runtimeDir, "upstart")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if st := info.Sys().(*syscall.Stat_t); !info.IsDir() || int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o22 != 0 {
		return "", fmt.Errorf("directory %q of the private socket is not this user's alone", dir)
	}
	return scheme + escaped(filepath.Join(dir, strconv.Itoa(os.Getpid())+".socket")), nil
}

// escaped writes a path as a value of a D-Bus address.
func escaped(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if strings.IndexByte("-_/.*", c) >= 0 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// Remove removes the socket of a session that ends.
func Remove(address string) {
	if path, err := url.PathUnescape(strings.TrimPrefix(address, scheme)); err == nil {
		os.Remove(path)
	}
}
