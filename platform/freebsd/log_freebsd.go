package freebsd

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// SystemLog returns what logs a line at a level of syslog(3), as the init of
// the base system does: by syslogd(8), and on the console, which the kernel's
// message buffer has a copy of, while nobody listens to /var/run/log. It
// never waits: what a console that was stopped does not take is lost.
func SystemLog() (func(level int, line string), error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	const facility = 3 << 3 // LOG_DAEMON
	syslogd := &unix.SockaddrUnix{Name: runDir + "/log"}
	return func(level int, line string) {
		text := "<" + strconv.Itoa(facility|level) + ">" + line
		if unix.Sendto(socket, []byte(text), 0, syslogd) == nil {
			return
		}
		// Opened each time: revoke(2) by a getty ends a descriptor.
		const how = unix.O_WRONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
		if fd, err := unix.Open("/dev/console", how, 0); err == nil {
			unix.Write(fd, []byte(line+"\n"))
			unix.Close(fd)
		}
	}, nil
}
