package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plan is what the machine will do (UPSTART §10.5).
type plan struct {
	level byte     // runlevel to enter
	env   []string // of its event
	word  string   // for the banner
}

// plans are chosen by an option of shutdown.
var plans = map[string]plan{
	"":  {'1', nil, "maintenance"},
	"r": {'6', nil, "reboot"},
	"h": {'0', nil, "halt"},
	"H": {'0', []string{"INIT_HALT=HALT"}, "halt"},
	"P": {'0', []string{"INIT_HALT=POWEROFF"}, "power off"},
	"p": {'0', []string{"INIT_HALT=POWEROFF"}, "power off"},
}

func (t *tool) plan() plan {
	last := ""
	for _, o := range t.order {
		if _, ok := plans[o]; ok {
			last = o
		}
	}
	return plans[last]
}

// shutdown is the program shutdown: it warns the users, waits, and changes
// the runlevel. It stays in the foreground.
func (t *tool) shutdown(args []string) error {
	delay, words, err := t.shutdownTime(args)
	if err != nil {
		return err
	}
	if err := t.needRoot(); err != nil {
		return err
	}
	message := ""
	for _, w := range words {
		message += w + " "
	}
	if message != "" {
		message += "\r\n"
	}
	if t.opts.has("c") {
		return t.cancelShutdown(message)
	}
	if pid := t.readPID(); pid > 0 && t.kill(pid, 0) == nil {
		return spoken("Another shutdown is already running")
	}
	p := t.plan()
	t.wall(p.banner(delay, message))
	switch {
	case t.opts.has("k"):
		return nil
	case delay > 0:
		cancelled, err := t.countDown(p, delay, message)
		if err != nil || cancelled {
			return err
		}
	}
	err = t.act(p)
	if err == nil {
		t.forgetShutdown()
	}
	return err
}

// shutdownTime returns the delay in minutes and the words of the message.
func (t *tool) shutdownTime(args []string) (minutes int, message []string, err error) {
	switch {
	case t.opts.has("c"):
		return 0, args, nil
	case t.opts.has("g"):
		minutes, err = parseDelay(t.opts.value("g"), t.now())
		return minutes, args, err
	case len(args) == 0:
		return 0, nil, usageError("time expected")
	}
	minutes, err = parseDelay(args[0], t.now())
	return minutes, args[1:], err
}

// parseDelay reads "now", HH:MM or minutes, and returns minutes.
func parseDelay(text string, now time.Time) (int, error) {
	if text == "now" {
		return 0, nil
	}
	hours, minutes, clock := strings.Cut(text, ":")
	if !clock {
		n, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 31)
		if err != nil {
			return 0, usageError("illegal time value")
		}
		return int(n), nil
	}
	h, err := strconv.ParseUint(hours, 10, 8)
	if err != nil || h > 23 {
		return 0, usageError("illegal hour value")
	}
	m, err := strconv.ParseUint(minutes, 10, 8)
	if err != nil || m > 59 {
		return 0, usageError("illegal minute value")
	}
	left := int(h*60+m) - (now.Hour()*60 + now.Minute())
	if left < 0 {
		left += 24 * 60
	}
	return left, nil
}

func (p plan) banner(minutes int, message string) string {
	when := "NOW!"
	switch {
	case minutes == 1:
		when = "in 1 minute!"
	case minutes > 1:
		when = fmt.Sprintf("in %d minutes!", minutes)
	}
	return "\rThe system is going down for " + p.word + " " + when + "\r\n" + message
}

// wantsWarning says at which minutes before the end users are told.
func wantsWarning(left int) bool {
	switch {
	case left < 10:
		return true
	case left < 60:
		return left%15 == 0
	case left < 180:
		return left%30 == 0
	}
	return left%60 == 0
}

// countDown waits until the time has come. Ticks are a minute apart from the
// start, not aligned to the clock.
func (t *tool) countDown(p plan, delay int, message string) (cancelled bool, err error) {
	ticks, interrupts, stop := t.clock() // before anybody can find out whom to interrupt
	defer stop()
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := os.WriteFile(t.pidFile, []byte(pid), 0o644); err != nil {
		t.complain("Unable to write pid file: " + systemText(err))
	}
	for {
		select {
		case <-interrupts:
			t.print("Shutdown cancelled\n")
			t.forgetShutdown()
			return true, nil
		case <-ticks:
		}
		delay--
		text := p.banner(delay, message)
		if delay <= 5 {
			_ = os.WriteFile(t.nologin, []byte(text), 0o644) // best effort, as on a read-only root
		}
		if wantsWarning(delay) {
			t.wall(text)
		}
		if delay <= 0 {
			return false, nil
		}
	}
}

func (t *tool) forgetShutdown() {
	os.Remove(t.nologin)
	os.Remove(t.pidFile)
}

// readPID returns the process in the pid file, 0 without.
func (t *tool) readPID() int {
	text, err := os.ReadFile(t.pidFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

func (t *tool) cancelShutdown(message string) error {
	pid := t.readPID()
	switch {
	case pid == 0:
		return spoken("Cannot find pid of running shutdown")
	case t.kill(pid, syscall.SIGINT) != nil:
		return spoken("Shutdown is not running")
	case message != "":
		t.wall(message)
	}
	return nil
}

// act enters the runlevel; where another init than ours runs, by its FIFO.
func (t *tool) act(p plan) error {
	err := t.changeRunlevel(p.level, p.env)
	if _, none := errors.AsType[*noServer](err); !none {
		return err
	}
	for _, fifo := range t.fifos {
		if writeFIFO(fifo, p.level) == nil {
			return nil
		}
	}
	return spoken("Unable to shutdown system")
}

// writeFIFO asks sysvinit for a runlevel: a fixed request of 384 bytes.
func writeFIFO(path string, level byte) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeNamedPipe {
		return syscall.EINVAL
	}
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(fifoRequest(level))
	return errors.Join(err, f.Close())
}
