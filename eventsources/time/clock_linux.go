package timers

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// kernelClock has two timers of the kernel: one that counts suspended time
// too, and one that is cancelled when the wall clock is set
// (timerfd_create(2)).
type kernelClock struct {
	alarm, steps *os.File
	rang         chan struct{}
}

func newClock() (clock, error) {
	c := &kernelClock{rang: make(chan struct{}, 1)}
	for _, t := range []struct {
		file **os.File
		id   int
	}{{&c.alarm, unix.CLOCK_BOOTTIME}, {&c.steps, unix.CLOCK_REALTIME}} {
		fd, err := unix.TimerfdCreate(t.id, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		if err != nil {
			c.close()
			return nil, os.NewSyscallError("timerfd_create", err)
		}
		*t.file = os.NewFile(uintptr(fd), "timer")
	}
	if err := c.watchSteps(); err != nil {
		c.close()
		return nil, err
	}
	go c.hear(c.alarm, nil)
	go c.hear(c.steps, c.watchSteps)
	return c, nil
}

// watchSteps has the second timer cancelled when the wall clock is set next.
func (c *kernelClock) watchSteps() error {
	never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt32}}
	return withFile(c.steps, func(fd int) error {
		return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil)
	})
}

// withFile calls f with the descriptor of a file that is open.
func withFile(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	err2 := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(err, err2)
}

// hear rings whenever a timer has expired or was cancelled, until it is closed.
func (c *kernelClock) hear(file *os.File, cancelled func() error) {
	var b [8]byte
	for {
		_, err := file.Read(b[:])
		if errors.Is(err, unix.ECANCELED) && cancelled != nil {
			err = cancelled()
		}
		if err != nil {
			return
		}
		select {
		case c.rang <- struct{}{}:
		default:
		}
	}
}

func (c *kernelClock) now() moment { return readBoth(unix.CLOCK_BOOTTIME) }

func (c *kernelClock) set(at time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(at), 1))}
	withFile(c.alarm, func(fd int) error { return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil) })
}

func (c *kernelClock) rings() <-chan struct{} { return c.rang }

func (c *kernelClock) close() {
	c.alarm.Close() // of nil too
	c.steps.Close()
}

// bootID names this boot of the machine.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id))
}

// Folders of the system for what outlives the machine, and what need not
// (hier(7)).
const (
	durableFolder  = "/var/lib/onset"
	volatileFolder = "/run/onset"
)

// ticksASecond is the unit of proc(5) for programs, whatever the kernel has.
const ticksASecond = 100

// startOf is when a process started, on the clock that is never set.
func startOf(pid int) (time.Duration, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if err != nil || len(fields) < 20 {
		return 0, false
	}
	ticks, err := strconv.ParseInt(string(fields[19]), 10, 64)
	return time.Duration(ticks) * (time.Second / ticksASecond), err == nil
}
