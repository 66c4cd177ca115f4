package manager

import (
	"syscall"

	"onset/core/engine"
)

// kernelRequests are the signals that this kernel and the tools of its base
// system send process 1 (init(8), shutdown(8)), where they mean other things
// than elsewhere: TERM is no re-exec, USR1 has nothing to do with the bus.
var kernelRequests = map[syscall.Signal]engine.Request{
	syscall.SIGUSR2:  engine.PowerButton,   // ACPI; shutdown -p
	syscall.SIGUSR1:  engine.HaltMachine,   // shutdown -h
	syscall.SIGWINCH: engine.RebootMachine, // shutdown -c, with a power cycle
	syscall.SIGTERM:  engine.SingleUser,    // shutdown now
}

// refused are signals that ask for what this init cannot do.
var refused = map[syscall.Signal]string{
	syscall.SIGEMT: "Unable to change the root file system, as SIGEMT (reboot -r) asks",
}
