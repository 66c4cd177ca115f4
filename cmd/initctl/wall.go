package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wallTime is how long one terminal may take a message.
const wallTime = 2 * time.Second

// wallAll writes a text to the terminals, to all at the same time, and to
// nothing else that a record may name.
func wallAll(lines []string, text string) {
	now := time.Now()
	host, _ := os.Hostname()
	tty := terminalName(0)
	if !strings.HasPrefix(tty, "/dev/") || tty == os.DevNull {
		tty = "unknown"
	}
	text = fmt.Sprintf("\a\r\nBroadcast message from root@%s\r\n\t(%s) at %d:%02d ...\r\n\r\n%s",
		host, tty, now.Hour(), now.Minute(), text)
	var all sync.WaitGroup
	for _, line := range lines {
		if !strings.Contains("/"+line+"/", "/../") {
			all.Go(func() { writeTerminal("/dev/"+line, text) })
		}
	}
	all.Wait()
}

func writeTerminal(path, text string) {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if isTerminal(f) && f.SetWriteDeadline(time.Now().Add(wallTime)) == nil {
		_, _ = f.WriteString(text)
	}
}

// isTerminal asks without making f block, as its method Fd would.
func isTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var not error
	err = raw.Control(func(fd uintptr) { _, not = unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ) })
	return err == nil && not == nil
}
