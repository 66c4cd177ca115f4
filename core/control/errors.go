package control

import "strings"

// Error is an error reply: a D-Bus error name and its text.
type Error struct{ Name, Message string }

func (e *Error) Error() string { return e.Message }

// Names of the error replies (UPSTART §6.7, EXTENSIONS §1).
const (
	errPrefix = "com.ubuntu.Upstart0_6.Error."
	busPrefix = "org.freedesktop.DBus.Error."

	ErrPermissionDenied   = errPrefix + "PermissionDenied"
	ErrUnknownJob         = errPrefix + "UnknownJob"
	ErrUnknownInstance    = errPrefix + "UnknownInstance"
	ErrUnknownJobInstance = errPrefix + "UnknownJobInstance"
	ErrAlreadyStarted     = errPrefix + "AlreadyStarted"
	ErrAlreadyStopped     = errPrefix + "AlreadyStopped"
	ErrNotRunning         = errPrefix + "NotRunning"
	ErrJobFailed          = errPrefix + "JobFailed"
	ErrEventFailed        = errPrefix + "EventFailed"
	ErrConditionNotMet    = errPrefix + "ConditionNotMet"

	ErrFailed           = busPrefix + "Failed"
	ErrInvalidArgs      = busPrefix + "InvalidArgs"
	ErrUnknownMethod    = busPrefix + "UnknownMethod"
	ErrUnknownProperty  = busPrefix + "UnknownProperty"
	ErrPropertyReadOnly = busPrefix + "PropertyReadOnly"
)

// JobText is the text of a failed wait for a job (UPSTART §2.10).
type JobText string

// The texts of JobFailed, by what was waited for.
const (
	StartFailed   JobText = "Job failed to start"
	StopFailed    JobText = "Job failed while stopping"
	RestartFailed JobText = "Job failed to restart"
)

// JobFailed tells a waiter that the job failed.
func JobFailed(text JobText) *Error { return &Error{ErrJobFailed, string(text)} }

// EventFailed tells a waiter that a job the event started or stopped failed.
func EventFailed() *Error { return &Error{ErrEventFailed, "Event failed"} }

// UnknownJob says that no class has that name.
func UnknownJob(name string) *Error { return &Error{ErrUnknownJob, "Unknown job: " + name} }

// UnknownInstance says that a class has no instance of that name.
func UnknownInstance(name string) *Error {
	return &Error{ErrUnknownInstance, "Unknown instance: " + name}
}

// UnknownJobInstance is UnknownInstance for job_details.
func UnknownJobInstance(instance, job string) *Error {
	return &Error{ErrUnknownJobInstance, "Unknown instance: " + instance + " of job " + job}
}

// AlreadyStarted, AlreadyStopped and NotRunning take the printed name of an
// instance (see JobName).
func AlreadyStarted(name string) *Error {
	return &Error{ErrAlreadyStarted, "Job is already running: " + name}
}

// AlreadyStopped refuses a stop of what is stopping.
func AlreadyStopped(name string) *Error {
	return &Error{ErrAlreadyStopped, "Job has already been stopped: " + name}
}

// NotRunning refuses a reload of an instance without a main process.
func NotRunning(name string) *Error { return &Error{ErrNotRunning, "Job is not running: " + name} }

// ConditionNotMet refuses a start while the fact expression expr is false;
// untrue lists its false operands as written (EXTENSIONS §1).
func ConditionNotMet(name, expr string, untrue []string) *Error {
	text := "Job may not run now: " + name + ": " + expr
	if len(untrue) > 0 {
		text += " (false: " + strings.Join(untrue, ", ") + ")"
	}
	return &Error{ErrConditionNotMet, text}
}

// SessionMismatch refuses a caller of another session.
func SessionMismatch(job string) *Error {
	return &Error{ErrPermissionDenied, "You do not have permission to modify job: " + job}
}

// InvalidArgs is an error in the arguments of a request.
func InvalidArgs(text string) *Error { return &Error{ErrInvalidArgs, text} }

// ExpansionFailed says why an instance pattern could not be expanded, with
// the usage text of the class if it has one.
func ExpansionFailed(why, usage string) *Error {
	if usage != "" {
		why += "\nUsage: " + usage
	}
	return InvalidArgs(why)
}

// NoSuchVariable says that an environment table lacks the variable.
func NoSuchVariable(name string) *Error { return InvalidArgs("No such variable: " + name) }

// SystemError is an error of the operating system, given as its text.
func SystemError(text string) *Error { return &Error{ErrFailed, text} }

// UnknownMethod is worded as libdbus does, final newline and "(null)"
// included; clients take it to mean that the object is gone.
func UnknownMethod(iface, member, signature string) *Error {
	if iface == "" {
		iface = "(null)"
	}
	return &Error{ErrUnknownMethod, `Method "` + member + `" with signature "` + signature +
		`" on interface "` + iface + "\" doesn't exist\n"}
}

// SeveralProviders refuses an abstract name that several jobs provide;
// providers lists them (EXTENSIONS §3).
func SeveralProviders(name, providers string) *Error {
	return &Error{ErrUnknownJob, "Unknown job: " + name + " is provided by several: " + providers}
}
