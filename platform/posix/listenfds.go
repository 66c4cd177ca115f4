package posix

import (
	"os"
	"strconv"
	"strings"

	"onset/core/env"
)

// handOver tells the program what descriptors it gets, as sd_listen_fds(3)
// has it.
func (s *stage) handOver() *SetupError {
	if len(s.ListenNames) > 0 {
		s.Env = env.Table(s.Env).Set(listenFDs(s.ListenNames), true).Set(listenNames(s.ListenNames), true).
			Set("LISTEN_PID="+strconv.Itoa(os.Getpid()), true)
	}
	return nil
}

func listenFDs(names []string) string { return "LISTEN_FDS=" + strconv.Itoa(len(names)) }

func listenNames(names []string) string { return "LISTEN_FDNAMES=" + strings.Join(names, ":") }
