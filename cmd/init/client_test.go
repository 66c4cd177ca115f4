//go:build linux || freebsd

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// clientMark in the environment of the test binary makes it a service: what
// jobs of the tests run. Its arguments are done one after the other:
//
//	listen NETWORK ADDRESS   and keep listening
//	notify TEXT              over sd_notify; "+" stands for a newline
//	barrier                  waits until all of that has been handled
//	store NAME TEXT          a file with that text, over sd_notify, with a barrier
//	child WORDS              another service, separated by commas, until it ends
//	await FILE               until it is there
//	write FILE TEXT
//	serve TEXT               to who connects to descriptor 3, until SIGTERM
//	sleep                    for an hour
const clientMark = "ONSET_TEST_CLIENT"

// client is how a job runs the service with these arguments.
func client(args ...string) string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return "env " + clientMark + "=1 " + self + " " + strings.Join(args, " ")
}

func beClient(args []string) {
	next := func() (word string) {
		word, args = args[0], args[1:]
		return word
	}
	for len(args) > 0 {
		err := error(nil)
		switch verb := next(); verb {
		case "listen":
			network, address := next(), next()
			var l net.Listener
			if l, err = net.Listen(network, address); err == nil {
				defer l.Close()
			}
		case "notify":
			err = sendNotice(strings.ReplaceAll(next(), "+", "\n"))
		case "barrier":
			err = barrier()
		case "store":
			err = storeFile(next(), next())
		case "child":
			cmd := exec.Command(os.Args[0], strings.Split(next(), ",")...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			err = cmd.Run()
		case "await":
			for name := next(); ; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(name); err == nil {
					break
				}
			}
		case "write":
			err = os.WriteFile(next(), []byte(next()), 0o644)
		case "serve":
			err = serveConnections(next())
		case "sleep":
			time.Sleep(time.Hour)
		default:
			err = fmt.Errorf("unknown word %q", verb)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func sendNotice(text string, files ...int) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	done := raw.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), []byte(text), oob, nil, 0)
		return err != unix.EAGAIN
	})
	if err == nil {
		err = done
	}
	return err
}

// serveConnections answers all connections that it has accepted when it is told
// to end.
func serveConnections(text string) error {
	l, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM)
	go func() {
		<-term
		l.(*net.UnixListener).SetDeadline(time.Now())
	}()
	for {
		c, err := l.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(c, text)
		c.Close()
	}
}

// storeFile has init store a file in memory, and waits until it has.
func storeFile(name, text string) error {
	fd, err := posix.Memory(name, []byte(text))
	if err == nil {
		err = sendNotice("FDSTORE=1\nFDNAME="+name, fd)
	}
	if err != nil {
		return err
	}
	return barrier()
}

// barrier waits until init has handled what was sent: it closes the pipe.
func barrier() error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	err := sendNotice("BARRIER=1", p[1])
	unix.Close(p[1])
	if err == nil {
		_, err = unix.Read(p[0], make([]byte, 1))
	}
	return err
}
