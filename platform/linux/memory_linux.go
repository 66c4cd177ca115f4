package linux

import (
	"os"
	"strings"

	"onset/platform/posix"
)

// OwnBinary is the path of the running program as it was started, or the one
// that replaced it. Without /proc it is what its name leads to.
func OwnBinary() (string, error) {
	path, err := os.Readlink("/proc/self/exe")
	if err == nil {
		return strings.TrimSuffix(path, " (deleted)"), nil
	}
	if path = posix.FindProgram(os.Args[0], os.Environ()); path != "" {
		return path, nil
	}
	return "", err
}
