package posix

import (
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// Step is what failed while a process was set up.
type Step byte

// The steps of UPSTART §4.4 that exist here, and our own.
const (
	StepScript Step = iota + 1
	StepConsole
	StepConsoleWarning // told, and gone on without
	StepLimit
	StepPriority
	StepOOM
	StepRoot
	StepDirectory
	StepExecute
	StepGetpwnam
	StepGetgrnam
	StepFindUser
	StepFindGroup
	StepSetuid
	StepSetgid
	StepChown
	StepGroups
	StepProfile
	StepScheduling
	StepText   // Text says it all
	StepNotice // the same, told, and gone on without
)

var stepTexts = [...]string{
	StepScript:         "unable to move script fd",
	StepConsole:        "unable to open console",
	StepConsoleWarning: "Failed to open system console",
	StepPriority:       "unable to set priority",
	StepOOM:            "unable to set oom adjustment",
	StepRoot:           "unable to change root directory",
	StepDirectory:      "unable to change working directory",
	StepExecute:        "unable to execute",
	StepGetpwnam:       "unable to getpwnam",
	StepGetgrnam:       "unable to getgrnam",
	StepFindUser:       "unable to find setuid user",
	StepFindGroup:      "unable to find setgid group",
	StepSetuid:         "unable to setuid",
	StepSetgid:         "unable to setgid",
	StepChown:          "unable to chown",
	StepGroups:         "unable to initgroups",
	StepProfile:        "unable to switch security profile",
	StepScheduling:     "unable to set scheduling",
}

// Reason words a failed step as UPSTART §4.4 does. Arg is the number of a
// limit, text goes with StepText and StepNotice.
func (s Step) Reason(arg byte, errno unix.Errno, text string) string {
	what := ""
	switch {
	case s == StepLimit && int(arg) < job.NumLimits:
		what = `unable to set "` + job.LimitNames[arg] + `" resource limit`
	case s == StepText, s == StepNotice:
		what = text
	case int(s) < len(stepTexts):
		what = stepTexts[s]
	}
	if errno == 0 {
		return what
	}
	return what + ": " + Strerror(errno)
}

// Strerror words an error number as strerror does; the system-call tables of
// Go have its words with a small first letter.
func Strerror(errno unix.Errno) string {
	s := errno.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}
