package manager

import (
	"os"

	"onset/core/control"
	"onset/core/engine"
)

// Logger writes init's own messages (UPSTART §7.1, §8.2 step 10).
type Logger struct {
	prog   string
	system func(level int, line string) // nil: to the standard descriptors
}

// NewLogger returns a logger for a program name that writes to the standard
// descriptors.
func NewLogger(prog string) *Logger { return &Logger{prog: prog} }

// ToSystem makes a log of the system take the messages from now on.
func (l *Logger) ToSystem(write func(level int, line string)) { l.system = write }

// systemLevel is the level of syslog(3) of each priority.
var systemLevel = [...]int{engine.Debug: 7, engine.Info: 6, engine.Message: 5, engine.Warn: 4, engine.Error: 3, engine.Fatal: 2}

// Log writes one message. A log that cannot be written is nobody's business.
func (l *Logger) Log(p engine.Priority, text string) {
	switch {
	case l.system != nil:
		l.system(systemLevel[p], control.Prefixed(l.prog, text))
	case p < engine.Warn:
		os.Stdout.WriteString(text + "\n")
	default:
		os.Stderr.WriteString(control.Prefixed(l.prog, text) + "\n")
	}
}
