package keeper

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// keepers are the scripts of the tests by name.
var keepers = map[string]script{
	"exit":    {manager: exitManager},
	"storm":   {manager: stormManager},
	"panic":   {manager: func() { attach(); panic("a bug") }},
	"first":   {change: withShellFirst, manager: firstManager},
	"shell":   {change: withShell, manager: shellManager},
	"killed":  {manager: func() { attach(); suicide() }},
	"lasting": {manager: lastingManager},
	"signals": {manager: signalManager},
	"store":   {manager: storeManager},
	"poison":  {manager: poisonManager},
	"bounded": {change: func(o *Options) { o.room = 10 }, manager: boundedManager},
	"reexec":  {change: withPanic, manager: reexecManager},
	"inplace": {manager: inplaceManager},
	"reboot":  {manager: func() { must(attach().Reboot(Restart)); select {} }},
	"idle":    {manager: func() { attach(); tell("ready"); select {} }},
}

func suicide() { unix.Kill(unix.Getpid(), unix.SIGKILL); select {} }

func exitManager() {
	c := attach()
	tell("life %d died %v pid %d", c.Life, c.Predecessor.Died, unix.Getppid())
	must(c.Exit(42))
	select {}
}

func TestExitEndsAContainer(t *testing.T) {
	f := boot(t, "exit")
	if got, want := f.until("life "), fmt.Sprint("1 died false pid ", f.pid()); got != want {
		t.Errorf("the manager says %q, want %q", got, want)
	}
	if code := f.end().ExitCode(); code != 42 {
		t.Errorf("exit status %d, want 42\n%s", code, f.log())
	}
}

func TestThreePanicsAreAnEmergency(t *testing.T) {
	f := boot(t, "panic")
	if code := f.end().ExitCode(); code != exitFailed {
		t.Errorf("exit status %d, want %d", code, exitFailed)
	}
	if n := strings.Count(f.log(), "the manager ended by status 2"); n != 3 {
		t.Errorf("%d managers, want 3\n%s", n, f.log())
	}
}

func TestTenDeathsWithoutInputAreAnEmergency(t *testing.T) {
	f := boot(t, "killed")
	if code := f.end().ExitCode(); code != exitFailed {
		t.Errorf("exit status %d, want %d", code, exitFailed)
	}
	if n := strings.Count(f.log(), "the manager ended by signal 9"); n != 10 {
		t.Errorf("%d managers, want 10\n%s", n, f.log())
	}
}

func lastingManager() {
	c := attach()
	must(c.Alive())
	if c.Life == 40 {
		must(c.Exit(0))
		select {}
	}
	suicide()
}

func TestKilledManagersThatHandleInputsAreNoEmergency(t *testing.T) {
	f := boot(t, "lasting")
	if code := f.end().ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0\n%s", code, f.log())
	}
}

func withShell(o *Options) {
	o.Container, o.Console = false, "/dev/null"
	o.Shell = nothing
}

// shellManager panics three times, and is another manager after the shell.
func shellManager() {
	c := attach()
	tell("life %d", c.Life)
	if c.Life == 4 {
		tell("poisoned %v", c.Predecessor.Poisoned)
		must(c.Exit(0))
		select {}
	}
	panic("a bug")
}

func TestShellThenAnotherChance(t *testing.T) {
	f := boot(t, "shell")
	f.until("life 4")
	if got := f.until("poisoned "); got != "true" {
		t.Errorf("poisoned %s, want true", got)
	}
	if code := f.end().ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	if n := strings.Count(f.log(), "cannot be kept up"); n != 1 {
		t.Errorf("%d emergencies, want 1\n%s", n, f.log())
	}
}

// consoleFile is the console of withShellFirst.
func consoleFile() string { return os.Getenv("GOCOVERDIR") + "/console" }

func withShellFirst(o *Options) {
	o.ShellFirst, o.Console = true, consoleFile()
	o.Shell = []string{"/bin/sh", "-c", "echo shell"}
	must(os.WriteFile(o.Console, nil, 0o600))
}

func firstManager() {
	c := attach()
	said, err := os.ReadFile(consoleFile())
	must(err)
	tell("said %q", said)
	must(c.Exit(0))
	select {}
}

func TestShellBeforeTheFirstManager(t *testing.T) {
	f := boot(t, "first")
	if got, want := f.until("said "), `"shell\n"`; got != want {
		t.Errorf("the console has %s when the manager starts, want %s", got, want)
	}
	f.end()
}

func signalManager() {
	c := attach()
	tell("ready %d", c.Life)
	must(c.Alive())
	for {
		c.block()
		must(c.Receive(func(e Event) {
			tell("signal %d seq %d", e.Signal, e.Seq)
			switch e.Signal {
			case unix.SIGINT: // before it is acknowledged
				if c.Life == 1 {
					suicide()
				}
			case unix.SIGTERM:
				must(c.Exit(0))
			}
			must(c.Ack(e.Seq))
		}))
	}
}

func TestSignalsFromOutside(t *testing.T) {
	f := boot(t, "signals")
	f.until("ready 1")
	for _, s := range append([]syscall.Signal{
		unix.SIGHUP, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGABRT, unix.SIGILL, unix.SIGTRAP,
		unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGSYS,
	}, ownSignals...) {
		f.signal(s)
		if got, want := f.until("signal "), fmt.Sprintf("%d seq", s); !strings.HasPrefix(got, want) {
			t.Errorf("signal %s, want %s", got, want)
		}
	}
	f.signal(unix.SIGINT)
	seq := f.until("signal 2 ")
	f.until("ready 2")
	if again := f.until("signal 2 "); again != seq {
		t.Errorf("the signal that was not acknowledged: %s, want %s", again, seq)
	}
	f.signal(unix.SIGTERM)
	if code := f.end().ExitCode(); code != 0 {
		t.Errorf("exit status %d, want 0\n%s", code, f.log())
	}
}

// storeManager stores, dies, and finds what it stored.
func storeManager() {
	c := attach()
	must(c.Alive())
	names := []string{}
	for _, s := range c.Stored {
		buf := make([]byte, 10)
		n, _ := unix.Pread(s.FD, buf, 0)
		names = append(names, s.Name+"="+string(buf[:n]))
	}
	tell("stored %s", strings.Join(names, " "))
	switch c.Life {
	case 1:
		for _, name := range []string{"a", "b", "c", strings.Repeat("n", MaxName)} {
			must(c.Store(name, file(name[:1])))
		}
		must(c.Drop("a"))
		must(c.Store("c", file("new")))
	case 2:
		for i := range 900 {
			must(c.Store(fmt.Sprint(i), file("x")))
		}
	case 3:
		tell("count %d", len(c.Stored))
		must(c.Exit(0))
		select {}
	}
	suicide()
}

// file returns a file with a text, which leaves no other trace.
func file(text string) int {
	fd, err := posix.Memory("test", []byte(text))
	must(err)
	return fd
}

func TestStoreOutlivesTheManager(t *testing.T) {
	f := boot(t, "store")
	f.until("stored")
	if got, want := f.until("stored"), strings.Repeat("n", MaxName)+"=n b=b c=new"; got != want {
		t.Errorf("stored %q, want %q", got, want)
	}
	if got := f.until("count "); got != "903" {
		t.Errorf("%s descriptors, want 903", got)
	}
	f.end()
}

// poisonManager panics, is killed, and recovers.
func poisonManager() {
	c := attach()
	p := c.Predecessor
	tell("life %d %v %d %d %v", c.Life, p.Died, p.Code, p.Status, p.Poisoned)
	switch c.Life {
	case 1:
		panic("a bug")
	case 2:
		suicide()
	case 3:
		must(c.Recovered())
		suicide()
	case 4:
		must(c.Exit(0))
		select {}
	}
}

func TestPoisonLastsUntilRecovered(t *testing.T) {
	f := boot(t, "poison")
	for _, want := range []string{"1 false 0 0 false", "2 true 1 2 true", "3 true 2 9 true", "4 true 2 9 false"} {
		if got := f.until("life "); got != want {
			t.Errorf("life %s, want %s", got, want)
		}
	}
	f.end()
}

func TestStoreRefusesBadNames(t *testing.T) {
	c := &Client{names: map[string]bool{"a": true}, room: 1}
	for name, want := range map[string]error{"": errName, strings.Repeat("n", MaxName+1): errName, "b": errRoom} {
		if err := c.Store(name, 0); err != want {
			t.Errorf("Store(%q) = %v, want %v", name, err, want)
		}
	}
}

func TestNoKeeper(t *testing.T) {
	for _, v := range []string{"", "x", "99"} {
		if v != "" {
			t.Setenv("ONSET_KEEPER", v)
		}
		if c, err := Attach(); c != nil || err != nil {
			t.Errorf("ONSET_KEEPER=%q: %v, %v", v, c, err)
		}
	}
}

// deadline is when a manager that waits for something gives up.
func poll(done func() bool) {
	for end := time.Now().Add(3 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "time is up")
			os.Exit(77)
		}
	}
}
