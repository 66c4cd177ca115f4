package posix

import (
	"os"

	"golang.org/x/sys/unix"
)

// OpenConsole makes the console the standard descriptors of process 1 or its
// manager, with a line as of UPSTART §8.2 step 5 if it is reset. Where there is
// none to open they stay what they were given, which is what a container shows
// of its process 1 (Go puts the null device in place of closed ones). What
// fails is told to warn.
func OpenConsole(reset bool, warn func(string)) {
	if err := standard("/dev/console"); err != nil {
		warn("Unable to initialize console, will use standard output: " + err.Error())
		return
	}
	if !reset {
		return
	}
	if err := resetLine(0); err != nil && err != unix.ENOTTY { // a container may have anything for a console
		warn("Unable to initialize console: " + err.Error())
	}
}

// LeaveConsole makes the null device the standard descriptors, so that what
// init prints by mistake disturbs nobody.
func LeaveConsole() error { return standard(os.DevNull) }

// LogToStandard logs a line on standard error. It never waits: what its reader
// does not take is lost.
func LogToStandard(_ int, line string) {
	const atOnce = 4095 // what a pipe takes that is ready to be written
	p := []unix.PollFd{{Fd: 2, Events: unix.POLLOUT}}
	if unix.Poll(p, 0); p[0].Revents&unix.POLLOUT != 0 {
		unix.Write(2, []byte(line[:min(len(line), atOnce)]+"\n"))
	}
}

// standard makes a device the standard descriptors.
func standard(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	for std := range 3 {
		if fd != std {
			if err := dup(fd, std); err != nil {
				return err
			}
		}
	}
	if fd > 2 {
		unix.Close(fd)
	}
	return nil
}

// resetLine gives a terminal the settings of UPSTART §8.2 step 5.
func resetLine(fd int) error {
	t, err := unix.IoctlGetTermios(fd, getLine)
	if err != nil {
		return err
	}
	t.Cflag &= lineSpeed | unix.CSIZE | unix.CSTOPB | unix.PARENB | unix.PARODD
	t.Cflag |= unix.HUPCL | unix.CLOCAL | unix.CREAD
	t.Iflag = unix.IGNPAR | unix.ICRNL | unix.IXON | unix.IXANY
	t.Oflag = unix.OPOST | unix.ONLCR
	t.Lflag = unix.ISIG | unix.ICANON | unix.ECHO | unix.ECHOCTL | unix.ECHOPRT | unix.ECHOKE
	for i, c := range map[int]uint8{unix.VINTR: 3, unix.VQUIT: 28, unix.VERASE: 127, unix.VKILL: 24, unix.VEOF: 4,
		unix.VSTART: 17, unix.VSTOP: 19, unix.VSUSP: 26, unix.VTIME: 0, unix.VMIN: 1} {
		t.Cc[i] = c
	}
	return unix.IoctlSetTermios(fd, setLine, t)
}
