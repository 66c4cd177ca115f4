package udev

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"onset/eventsources/sourcetest"
)

// startUdevd starts Debian's udevd, and returns a function that kills it.
func startUdevd(t *testing.T) (kill func()) {
	t.Helper()
	const name = "/lib/systemd/systemd-udevd"
	if _, err := os.Stat(name); err != nil {
		t.Skipf("SKIPPED: there is no udevd here: %v", err)
	}
	cmd := exec.Command(name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(sourcetest.Patience); ; time.Sleep(time.Millisecond) {
		if _, err := ask("/run/udev/control"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("udevd does not listen")
		}
	}
	return func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
}

func (w *watched) contains(what, text string) {
	w.t.Helper()
	if !strings.Contains(what, text) {
		w.t.Errorf("no %q in %q", text, what)
	}
}

// TestUdevd has a udevd that is there, is killed, and comes again.
func TestUdevd(t *testing.T) {
	if !apart(t) {
		return
	}
	kill := startUdevd(t)
	w := runSource(t, Source{}, "net-device-added", "net-device-removed", "while net-device")
	w.await("fact net-device KERNEL=lo ")
	command(t, "ip", "link", "add", "a0", "type", "veth", "peer", "name", "b0")
	w.contains(last(w.await("fact net-device KERNEL=a0 ")), " ID_NET_DRIVER=veth ")
	w.contains(last(w.await("emit net-device-added KERNEL=a0 ")), " ID_NET_DRIVER=veth ")
	kill()
	w.await("log there is no udevd any more")
	command(t, "ip", "link", "add", "k0", "type", "veth", "peer", "name", "l0")
	w.await("fact net-device KERNEL=k0 ") // after the look at what exists, which takes later messages for repetitions
	// What the kernel says of a device takes nothing away from its fact.
	command(t, "udevadm", "trigger", "--action=add", "/sys/class/net/a0")
	w.contains(last(w.await("emit net-device-added KERNEL=a0 ")), " ID_NET_DRIVER=veth ")
	if slices.ContainsFunc(w.all, func(l string) bool { return strings.HasPrefix(l, "no fact ") }) {
		t.Errorf("facts flap: %q", w.all)
	}
	command(t, "ip", "link", "add", "c0", "type", "veth", "peer", "name", "d0")
	w.await("fact net-device KERNEL=c0 ")
	w.await("emit net-device-added KERNEL=c0 ")
	startUdevd(t)
	w.await("log udevd runs now")
	w.hearsUdevd()
	command(t, "ip", "link", "add", "e0", "type", "veth", "peer", "name", "f0")
	w.contains(last(w.await("fact net-device KERNEL=e0 ")), " ID_NET_DRIVER=veth ")
	w.await("emit net-device-added KERNEL=e0 ")
	command(t, "ip", "link", "del", "a0")
	w.await("emit net-device-removed KERNEL=a0 ")
}

func last(lines []string) string { return lines[len(lines)-1] }

// hearsUdevd waits until new devices are told as udevd has them. What came just
// before that is told as the kernel has it.
func (w *watched) hearsUdevd() {
	w.t.Helper()
	for i := range 100 {
		name := fmt.Sprint("m", i)
		command(w.t, "ip", "link", "add", name, "type", "veth", "peer", "name", fmt.Sprint("n", i))
		if strings.Contains(last(w.await("fact net-device KERNEL="+name+" ")), " ID_NET_DRIVER=veth ") {
			return
		}
	}
	w.t.Fatal("udevd is not listened to")
}

// TestUdevdIsKilledAgainAndAgain has interfaces come and go meanwhile: of each
// both are told once, and none is left.
func TestUdevdIsKilledAgainAndAgain(t *testing.T) {
	if !apart(t) {
		return
	}
	w := runSource(t, Source{}, "net-device-added", "net-device-removed", "while net-device")
	w.await("fact net-device KERNEL=lo ")
	const rounds = 5
	for i := range rounds {
		kill := startUdevd(t)
		for j := range 10 {
			command(t, "ip", "link", "add", fmt.Sprintf("a%d-%d", i, j), "type", "veth", "peer", "name", fmt.Sprintf("b%d-%d", i, j))
			if j == 5 {
				kill()
			}
			if j%2 == 0 {
				command(t, "ip", "link", "del", fmt.Sprintf("a%d-%d", i, j))
			}
		}
	}
	startUdevd(t)
	w.await("log udevd runs now")
	command(t, "udevadm", "settle")
	w.settle()
	count := map[string]int{}
	for _, line := range w.all {
		words := strings.Fields(line)
		if words[0] == "emit" {
			count[words[1]+" "+words[2]]++
		}
	}
	for i := range rounds {
		for j := range 10 {
			for _, side := range []string{"a", "b"} {
				name := fmt.Sprintf("KERNEL=%s%d-%d", side, i, j)
				added, removed := count["net-device-added "+name], count["net-device-removed "+name]
				if j%2 == 1 && (added != 1 || removed != 0) || j%2 == 0 && (added != removed || added > 1) {
					t.Errorf("%s: added %d times, removed %d times", name, added, removed)
				}
			}
		}
	}
	if n := len(w.Facts()); n != 1+rounds*10 {
		t.Errorf("%d facts", n)
	}
}
