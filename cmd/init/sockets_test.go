//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestSocketsOutliveManagers has clients connect all the time to a service that
// onset-sources has the socket of, while managers are killed and executed anew
// and the service and onset-sources are killed: none is refused, and each is
// answered.
func TestSocketsOutliveManagers(t *testing.T) {
	const connections, disturbances, clients = 2000, 40, 4
	m := startMachine(t, map[string]string{
		"sources.conf": "start on startup\nexpect notify\nrespawn\nrespawn limit unlimited\nexec " + program("onset-sources") + "\n",
		"web.conf": "start on socket PROTO=unix PATH=DIR/socket\nrespawn\nrespawn limit unlimited\n" +
			"exec " + client("serve", "hello") + "\n",
	})
	path := filepath.Join(m.dir, "socket")
	m.await("the socket", func() bool { return strings.Contains(m.must("facts"), "socket PROTO=unix") })

	var all sync.WaitGroup
	numbers, disturbed := make(chan int), make(chan struct{})
	for range clients {
		all.Go(func() {
			for range numbers {
				if text, err := greeting(path); err != nil || text != "hello\n" {
					t.Errorf("%q, %v", text, err)
				}
			}
		})
	}
	counts := map[string]int{}
	go func() {
		defer close(disturbed)
		for i := range disturbances {
			counts[m.disturbSockets(i)]++
		}
	}()
	n := 0
	for over := false; n < connections || !over; n++ {
		numbers <- n
		select {
		case <-disturbed:
			over = true
		default:
		}
	}
	close(numbers)
	all.Wait()
	t.Logf("%d connections; %v", n, counts)
}

// greeting is what a service says to who connects.
func greeting(path string) (string, error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(c)
	return string(text), err
}

// disturbSockets does something to the machine, and says what.
func (m *machine) disturbSockets(i int) string {
	switch i % 5 {
	case 0:
		return "end of the service" + m.killMain("web", syscall.SIGTERM)
	case 1:
		return "end of the source" + m.killMain("sources", syscall.SIGKILL)
	case 2:
		m.must("restart", "web")
		return "restart"
	case 3:
		if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			m.t.Error(err)
		}
		m.must("version")
		return "manager executed anew"
	}
	m.killManager()
	m.must("version")
	return "manager killed"
}

// killMain ends the process of a job, and waits until there is another.
func (m *machine) killMain(job string, sig syscall.Signal) string {
	inside := func() (pid int) {
		_, text, _ := strings.Cut(m.must("status", job), ", process ")
		fmt.Sscan(text, &pid) // its STATUS= may follow
		return pid
	}
	var pid int
	m.await("a process of "+job, func() bool { pid = inside(); return pid != 0 })
	if out, err := m.inside("/bin/kill", fmt.Sprintf("-%d", sig), strconv.Itoa(pid)); err != nil {
		m.t.Errorf("%v: %s", err, out)
	}
	m.await("another process of "+job, func() bool { next := inside(); return next != 0 && next != pid })
	return ""
}
