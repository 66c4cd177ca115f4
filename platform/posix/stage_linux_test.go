package posix

import (
	"os"
	"strconv"
	"strings"
)

const testBinary = "/proc/self/exe"

// pathOf is where any user can execute an open file.
func pathOf(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

// ofStatus returns a line of /proc/PID/status, without its name.
func ofStatus(text, name string) string {
	for line := range strings.Lines(text) {
		if k, v, _ := strings.Cut(line, ":"); k == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
