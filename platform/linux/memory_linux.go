package linux

import (
	"os"
	"strings"
)

// OwnBinary is the path of the running program as it was started, or the one
// that replaced it.
func OwnBinary() (string, error) {
	path, err := os.Readlink("/proc/self/exe")
	return strings.TrimSuffix(path, " (deleted)"), err
}
