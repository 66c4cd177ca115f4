package sim

import "onset/core/job"

// The signals that the simulated kernel itself gives a meaning.
const (
	sigKILL job.Signal = 9
	sigSEGV job.Signal = 11
	sigTERM job.Signal = 15
	sigCHLD job.Signal = 17
	sigCONT job.Signal = 18
	sigSTOP job.Signal = 19
	sigTSTP job.Signal = 20
	sigTTIN job.Signal = 21
	sigTTOU job.Signal = 22
	sigURG  job.Signal = 23
	sigWINC job.Signal = 28
)

// Signals is the signal table of the simulated kernel: Linux's numbers, in
// the order of UPSTART §1.4.
var Signals = job.Signals{
	{Name: "HUP", Number: 1}, {Name: "INT", Number: 2}, {Name: "QUIT", Number: 3}, {Name: "ILL", Number: 4},
	{Name: "TRAP", Number: 5}, {Name: "ABRT", Number: 6}, {Name: "IOT", Number: 6}, {Name: "BUS", Number: 7},
	{Name: "FPE", Number: 8}, {Name: "KILL", Number: 9}, {Name: "USR1", Number: 10}, {Name: "SEGV", Number: 11},
	{Name: "USR2", Number: 12}, {Name: "PIPE", Number: 13}, {Name: "ALRM", Number: 14}, {Name: "TERM", Number: 15},
	{Name: "STKFLT", Number: 16}, {Name: "CHLD", Number: 17}, {Name: "CLD", Number: 17}, {Name: "CONT", Number: 18},
	{Name: "STOP", Number: 19}, {Name: "TSTP", Number: 20}, {Name: "TTIN", Number: 21}, {Name: "TTOU", Number: 22},
	{Name: "URG", Number: 23}, {Name: "XCPU", Number: 24}, {Name: "XFSZ", Number: 25}, {Name: "VTALRM", Number: 26},
	{Name: "PROF", Number: 27}, {Name: "WINCH", Number: 28}, {Name: "IO", Number: 29}, {Name: "POLL", Number: 29},
	{Name: "PWR", Number: 30}, {Name: "SYS", Number: 31}, {Name: "UNUSED", Number: 31},
}

// signalSet holds signals by their numbers.
type signalSet uint64

func setOf(signals ...job.Signal) (s signalSet) {
	for _, n := range signals {
		s |= 1 << n
	}
	return s
}

func (s signalSet) has(n job.Signal) bool { return n >= 0 && n < 64 && s&(1<<n) != 0 }
