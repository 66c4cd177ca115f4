//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadyInStorm starts jobs that say themselves when they are ready while
// the manager is killed, or executes itself, all the time: no sign is lost, so
// nobody waits for ever, and each came before the start returned.
func TestReadyInStorm(t *testing.T) {
	for name, disturb := range map[string]func(*machine, time.Time) int{
		"killed": (*machine).killing, "re-executed": (*machine).reexecuting,
	} {
		t.Run(name, func(t *testing.T) { readyInStorm(t, disturb) })
	}
}

func readyInStorm(t *testing.T, disturb func(m *machine, end time.Time) int) {
	said := func(how string) string {
		return "instance $N\nexpect " + how
	}
	m := startMachine(t, map[string]string{
		"fd.conf":     said("fd 4") + "\nscript\n\techo half >&4\n\techo $N >>DIR/fd\n\texec sleep 1000\nend script\n",
		"notify.conf": said("notify") + "\nexec " + client("write DIR/notify.$N x notify READY=1 sleep") + "\n",
		"listen.conf": said("listen") + "\nexec " + client("write DIR/listen.$N x listen unix @listen.$N sleep") + "\n",
		"stored.conf": said("notify") + "\nrespawn\nrespawn limit unlimited\nkill signal KILL\nscript\n\tif [ -z \"$LISTEN_FDS\" ]; then\n" +
			"\t\texec " + client("store a $N notify READY=1 await DIR/die.$N") + "\n\tfi\n" +
			"\techo $LISTEN_FDS $(cat /proc/self/fd/3) >>DIR/stored.$N\n" +
			"\texec " + client("notify READY=1 sleep") + "\nend script\n",
	})
	c := &clients{m: m, turns: map[string]int{}}
	for _, job := range []string{"notify", "listen"} {
		c.start(job, func(n string) {
			m.must("start", job, n)
			file := filepath.Join(m.dir, job+"."+strings.TrimPrefix(n, "N="))
			if os.Remove(file) != nil {
				t.Errorf("%s %s was started before it was ready", job, n)
			}
			m.must("stop", job, n)
		})
	}
	c.start("fd", func(n string) {
		m.must("start", "fd", n)
		m.must("stop", "fd", n)
	})
	c.start("stored", m.storeAndDie)
	c.disturbed(disturb(m, time.Now().Add(stormTime()/2)))
}

// storeAndDie starts a service that stores a file, lets it end and wants the
// next process to get just this file.
func (m *machine) storeAndDie(n string) {
	m.must("start", "stored", n)
	file := filepath.Join(m.dir, "stored."+strings.TrimPrefix(n, "N="))
	m.write("die." + strings.TrimPrefix(n, "N="))
	m.await("the next process", func() bool { _, err := os.Stat(file); return err == nil })
	m.must("stop", "stored", n)
	want := "1 " + strings.TrimPrefix(n, "N=") + "\n"
	if text, _ := os.ReadFile(file); string(text) != want {
		m.t.Errorf("stored %s gave %q", n, text)
	}
}

// TestListenAfterCrash has a service listen again and again, as one that
// reloads its configuration does, while the manager is dead or another.
func TestListenAfterCrash(t *testing.T) {
	m := startMachine(t, map[string]string{
		"serve.conf": "expect listen @one\nexec " + client("listen unix @one write DIR/up x "+
			"await DIR/go listen unix @two write DIR/two x await DIR/again listen unix @three write DIR/three x sleep") + "\n",
	})
	m.must("start", "serve")
	m.await("the service", func() bool { return m.exists("up") })
	manager := m.killManager()
	m.write("go")
	m.await("it listens", func() bool { return m.exists("two") })
	if m.manager() == manager {
		t.Error("that is the manager from before")
	}
	m.await("the system's log to tell", func() bool {
		return strings.Contains(m.log.String(), "init: Recovered from the death of the manager (signal 9)")
	})
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil { // re-execute
		t.Fatal(err)
	}
	m.write("again")
	m.await("it listens once more", func() bool { return m.exists("three") })
	m.must("stop", "serve")
}

func (m *machine) exists(name string) bool {
	_, err := os.Stat(filepath.Join(m.dir, name))
	return err == nil
}

func (m *machine) write(name string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), nil, 0o644); err != nil {
		m.t.Fatal(err)
	}
}
