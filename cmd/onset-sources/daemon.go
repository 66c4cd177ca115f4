package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// stageMark in the environment tells a process which it is of those that
// --daemon makes: 1 leads a session of its own and starts 2, which stays. The
// first waits until that runs. Go programs cannot fork, so each executes itself.
const stageMark = "ONSET_SOURCES_DAEMON"

// reportFile is where the one that stays tells the first how it went.
const reportFile = 3

// report tells the process that was called how the daemon started, once.
type report struct {
	once sync.Once
	to   *os.File
}

// started is there in a daemon.
var started *report

func (r *report) tell(err error) {
	r.once.Do(func() {
		text := "ok"
		if err != nil {
			text = err.Error()
		}
		io.WriteString(r.to, text)
		r.to.Close()
	})
}

// daemonise makes the daemon of --daemon (UPSTART §9). leaves is true in the
// processes whose part ends there.
func daemonise(o *options) (leaves bool, err error) {
	switch os.Getenv(stageMark) {
	case "":
		return true, startDaemon()
	case "1":
		return true, startStage("2", reportFile)
	}
	os.Unsetenv(stageMark)
	syscall.CloseOnExec(reportFile)
	started = &report{to: os.NewFile(reportFile, "report")}
	syscall.Umask(0)
	return false, os.Chdir("/")
}

// startDaemon starts the first stage, and waits for what the last reports.
func startDaemon() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = startStage("1", w.Fd())
	w.Close()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(r)
	switch {
	case err != nil:
		return err
	case len(text) == 0:
		return errors.New("the daemon ended while it started")
	case string(text) != "ok":
		return errors.New(string(text))
	}
	return nil
}

// startStage starts this program once more. Package os would look first, by a
// process more, what the kernel can do; init counts them (expect daemon).
func startStage(stage string, report uintptr) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	os.Setenv(stageMark, stage) // not a second one in the list, of which the first would count
	_, err = syscall.ForkExec(self, os.Args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), report},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	return err
}

// pidFile is where the pid of a daemon is written (UPSTART §9).
func (o *options) pidFile() string {
	if !o.user {
		return "/var/run/" + o.program + ".pid"
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = os.Getenv("HOME")
	}
	return path.Join(dir, fmt.Sprintf("%s.%s.pid", o.program, o.address[strings.LastIndexByte(o.address, '/')+1:]))
}

// writePID writes the file, and returns what removes it.
func (o *options) writePID(logf func(string, ...any)) (remove func()) {
	name := o.pidFile()
	if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		logf("cannot write the pid: %v", err)
	}
	return func() { os.Remove(name) }
}
