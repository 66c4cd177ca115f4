package manager

import (
	"syscall"

	"onset/core/engine"
)

// kernelRequests are the signals that this kernel sends process 1: none that
// mean more than they do elsewhere.
var kernelRequests map[syscall.Signal]engine.Request
