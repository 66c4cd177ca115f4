package posix

import (
	"os"
	"strconv"
	"strings"

	"onset/core/env"
)

// handOver tells the program what descriptors it had stored, as
// sd_listen_fds(3) has it: names for all from the first on.
func (s *stage) handOver() *SetupError {
	if n := len(s.ListenNames); n > 0 {
		s.Env = env.Table(s.Env).Set("LISTEN_FDS="+strconv.Itoa(n), true).
			Set("LISTEN_FDNAMES="+strings.Join(s.ListenNames, ":"), true).Set("LISTEN_PID="+strconv.Itoa(os.Getpid()), true)
	}
	return nil
}
