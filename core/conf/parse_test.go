package conf_test

import (
	"onset/core/job"
)

// linux is the signal table of UPSTART §1.4 on Linux.
var linux = job.Signals{
	{Name: "HUP", Number: 1}, {Name: "INT", Number: 2}, {Name: "QUIT", Number: 3}, {Name: "ILL", Number: 4},
	{Name: "TRAP", Number: 5}, {Name: "ABRT", Number: 6}, {Name: "IOT", Number: 6}, {Name: "BUS", Number: 7},
	{Name: "FPE", Number: 8}, {Name: "KILL", Number: 9}, {Name: "USR1", Number: 10}, {Name: "SEGV", Number: 11},
	{Name: "USR2", Number: 12}, {Name: "PIPE", Number: 13}, {Name: "ALRM", Number: 14}, {Name: "TERM", Number: 15},
	{Name: "STKFLT", Number: 16}, {Name: "CHLD", Number: 17}, {Name: "CLD", Number: 17}, {Name: "CONT", Number: 18},
	{Name: "STOP", Number: 19}, {Name: "TSTP", Number: 20}, {Name: "TTIN", Number: 21}, {Name: "TTOU", Number: 22},
	{Name: "URG", Number: 23}, {Name: "XCPU", Number: 24}, {Name: "XFSZ", Number: 25}, {Name: "VTALRM", Number: 26},
	{Name: "PROF", Number: 27}, {Name: "WINCH", Number: 28}, {Name: "IO", Number: 29}, {Name: "POLL", Number: 29},
	{Name: "PWR", Number: 30}, {Name: "SYS", Number: 31},
}

var defaults = job.Defaults{Console: job.ConsoleLog, Signals: linux}
