package job

// Signal is a signal number as the kernel in use counts it; its names come
// from the table in Signals.
type Signal int32

// Signals is the signal table of a kernel in the order of UPSTART §1.4. Two
// names may share a number; the first is the one that is printed.
type Signals []SignalName

// SignalName pairs a name without SIG prefix with its number.
type SignalName struct {
	Name   string
	Number Signal
}

// Number returns the signal of that name, which may have a SIG prefix.
func (t Signals) Number(name string) (Signal, bool) {
	if len(name) > 3 && name[:3] == "SIG" {
		name = name[3:]
	}
	for _, s := range t {
		if s.Name == name {
			return s.Number, true
		}
	}
	return 0, false
}

// Name returns the first name of a signal, without SIG prefix.
func (t Signals) Name(n Signal) (string, bool) {
	for _, s := range t {
		if s.Number == n {
			return s.Name, true
		}
	}
	return "", false
}

// Status is how a process ended, in the form the D-Bus API and normal exit
// use (UPSTART §2.6): an exit code 0-255, or a signal number shifted left by
// eight.
type Status int

// NoStatus stands for an end without a status: the process never ran.
const NoStatus Status = -1

// Exit returns the status of a process that exited with code.
func Exit(code int) Status { return Status(code & 0xff) }

// Killed returns the status of a process that a signal ended.
func Killed(s Signal) Status { return Status(s) << 8 }

// Signal returns the signal that ended the process, if one did.
func (s Status) Signal() (Signal, bool) {
	if s > 0xff {
		return Signal(s >> 8), true
	}
	return 0, false
}
