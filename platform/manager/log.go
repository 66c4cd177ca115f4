package manager

import (
	"os"
	"strconv"

	"onset/core/control"
	"onset/core/engine"
)

// Logger writes init's own messages (UPSTART §7.1, §8.2 step 10).
type Logger struct {
	prog string
	kmsg *os.File
}

// NewLogger returns a logger for a program name that writes to the standard
// descriptors.
func NewLogger(prog string) *Logger { return &Logger{prog: prog} }

// ToKernel makes the kernel's log take the messages from now on.
func (l *Logger) ToKernel() error {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err == nil {
		l.kmsg = f
	}
	return err
}

// kernelLevel is the kernel's level of each priority.
var kernelLevel = [...]int{engine.Debug: 7, engine.Info: 6, engine.Message: 5, engine.Warn: 4, engine.Error: 3, engine.Fatal: 2}

// Log writes one message. A log that cannot be written is nobody's business.
func (l *Logger) Log(p engine.Priority, text string) {
	switch {
	case l.kmsg != nil:
		l.kmsg.WriteString("<" + strconv.Itoa(kernelLevel[p]) + ">" + control.Prefixed(l.prog, text) + "\n")
	case p < engine.Warn:
		os.Stdout.WriteString(text + "\n")
	default:
		os.Stderr.WriteString(control.Prefixed(l.prog, text) + "\n")
	}
}
