package posix

import (
	"os"
	"strconv"
	"strings"

	"onset/core/env"
	"onset/platform/vfork"
)

const listenPID = "LISTEN_PID="

// ownPID stands for the pid of a process that is not made yet; Fork has it
// write that.
var ownPID = strings.Repeat("?", vfork.PIDRoom-1)

// handOver tells the program what descriptors it gets.
func (s *stage) handOver() *SetupError {
	if len(s.ListenNames) > 0 {
		s.Env = listenVars(s.Env, s.ListenNames, strconv.Itoa(os.Getpid()))
	}
	return nil
}

// listenVars are variables with those of sd_listen_fds(3).
func listenVars(vars env.Table, names []string, pid string) env.Table {
	return vars.Set("LISTEN_FDS="+strconv.Itoa(len(names)), true).
		Set("LISTEN_FDNAMES="+strings.Join(names, ":"), true).Set(listenPID+pid, true)
}
