package freebsd

import (
	"golang.org/x/sys/unix"

	"onset/core/job"
)

// Signals is the signal table of FreeBSD: in the order of UPSTART §1.4 what it
// has of those, then its own.
var Signals = job.Signals{
	{Name: "HUP", Number: job.Signal(unix.SIGHUP)},
	{Name: "INT", Number: job.Signal(unix.SIGINT)},
	{Name: "QUIT", Number: job.Signal(unix.SIGQUIT)},
	{Name: "ILL", Number: job.Signal(unix.SIGILL)},
	{Name: "TRAP", Number: job.Signal(unix.SIGTRAP)},
	{Name: "ABRT", Number: job.Signal(unix.SIGABRT)},
	{Name: "IOT", Number: job.Signal(unix.SIGIOT)},
	{Name: "BUS", Number: job.Signal(unix.SIGBUS)},
	{Name: "FPE", Number: job.Signal(unix.SIGFPE)},
	{Name: "KILL", Number: job.Signal(unix.SIGKILL)},
	{Name: "USR1", Number: job.Signal(unix.SIGUSR1)},
	{Name: "SEGV", Number: job.Signal(unix.SIGSEGV)},
	{Name: "USR2", Number: job.Signal(unix.SIGUSR2)},
	{Name: "PIPE", Number: job.Signal(unix.SIGPIPE)},
	{Name: "ALRM", Number: job.Signal(unix.SIGALRM)},
	{Name: "TERM", Number: job.Signal(unix.SIGTERM)},
	{Name: "CHLD", Number: job.Signal(unix.SIGCHLD)},
	{Name: "CONT", Number: job.Signal(unix.SIGCONT)},
	{Name: "STOP", Number: job.Signal(unix.SIGSTOP)},
	{Name: "TSTP", Number: job.Signal(unix.SIGTSTP)},
	{Name: "TTIN", Number: job.Signal(unix.SIGTTIN)},
	{Name: "TTOU", Number: job.Signal(unix.SIGTTOU)},
	{Name: "URG", Number: job.Signal(unix.SIGURG)},
	{Name: "XCPU", Number: job.Signal(unix.SIGXCPU)},
	{Name: "XFSZ", Number: job.Signal(unix.SIGXFSZ)},
	{Name: "VTALRM", Number: job.Signal(unix.SIGVTALRM)},
	{Name: "PROF", Number: job.Signal(unix.SIGPROF)},
	{Name: "WINCH", Number: job.Signal(unix.SIGWINCH)},
	{Name: "IO", Number: job.Signal(unix.SIGIO)},
	{Name: "SYS", Number: job.Signal(unix.SIGSYS)},
	{Name: "EMT", Number: job.Signal(unix.SIGEMT)},
	{Name: "INFO", Number: job.Signal(unix.SIGINFO)},
	{Name: "THR", Number: job.Signal(unix.SIGTHR)},
	{Name: "LIBRT", Number: job.Signal(unix.SIGLIBRT)},
}
