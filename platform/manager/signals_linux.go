package manager

import (
	"syscall"

	"onset/core/engine"
)

// kernelRequests are the signals that this kernel sends process 1.
var kernelRequests = map[syscall.Signal]engine.Request{
	syscall.SIGWINCH: engine.KeyboardRequest,
	syscall.SIGPWR:   engine.PowerStatusChanged,
}

// refused are signals that ask for what this init cannot do: none.
var refused map[syscall.Signal]string
