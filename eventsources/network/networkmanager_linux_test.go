package network

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources/sourcetest"
)

// networkManager is Debian's NetworkManager on a bus of its own. It has the
// links whose name begins with nm.
type networkManager struct {
	t   *testing.T
	bus *sourcetest.Bus
	dir string
	cmd *exec.Cmd
}

const networkManagerConf = `[main]
plugins=keyfile
no-auto-default=*
dhcp=internal
dns=none
rc-manager=unmanaged
systemd-resolved=false
auth-polkit=false
hostname-mode=none
[logging]
audit=false
[keyfile]
path=DIR/connections
unmanaged-devices=*,except:interface-name:nm*
`

// checking has NetworkManager ask a peer for a page.
const checking = "[connectivity]\nenabled=true\nuri=http://10.9.7.1/\nresponse=NetworkManager is online\ninterval=1\n"

// newNetworkManager starts NetworkManager with more lines of configuration.
// Without the program the test is skipped.
func newNetworkManager(t *testing.T, more string) *networkManager {
	t.Helper()
	needNetwork(t)
	for _, name := range []string{"NetworkManager", "nmcli"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("there is no %s here", name)
		}
	}
	hideState(t)
	n := &networkManager{t: t, bus: sourcetest.NewBus(t), dir: t.TempDir()}
	conf := strings.ReplaceAll(networkManagerConf, "DIR", n.dir) + more
	if err := os.WriteFile(filepath.Join(n.dir, "nm.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.end(os.Kill) })
	n.start()
	return n
}

// hideState covers the folders where NetworkManager keeps what it knows; the
// mounts are those of the tests alone. With /sys read-only it takes the place
// for a container, and waits for no udev.
func hideState(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		kind, dir string
		flags     uintptr
	}{{"sysfs", "/sys", unix.MS_RDONLY}, {"tmpfs", "/run", 0}, {"tmpfs", "/var/lib/NetworkManager", 0}} {
		if err := unix.Mount(m.kind, m.dir, m.kind, m.flags, ""); err != nil {
			t.Skipf("%s cannot be mounted: %v", m.dir, err)
		}
		t.Cleanup(func() { unix.Unmount(m.dir, unix.MNT_DETACH) })
	}
}

func (n *networkManager) start() {
	n.t.Helper()
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = exec.Command("NetworkManager", "--debug", "--config", filepath.Join(n.dir, "nm.conf"), "--config-dir", n.dir,
		"--system-config-dir", n.dir, "--intern-config", filepath.Join(n.dir, "intern"), "--state-file", filepath.Join(n.dir, "state"))
	n.cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+n.bus.Address)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	await(n.t, "NetworkManager", func() bool { return strings.TrimSpace(n.try("-g", "RUNNING", "general")) == "running" })
}

func (n *networkManager) end(how os.Signal) {
	if n.cmd == nil {
		return
	}
	n.cmd.Process.Signal(how)
	n.cmd.Wait()
	n.cmd = nil
	if n.t.Failed() {
		text, _ := os.ReadFile(filepath.Join(n.dir, "log"))
		n.t.Logf("NetworkManager:\n%s", text)
	}
}

// try runs nmcli and returns what it prints.
func (n *networkManager) try(args ...string) string {
	cmd := exec.Command("nmcli", args...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+n.bus.Address, "LC_ALL=C")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func (n *networkManager) nmcli(args ...string) {
	n.t.Helper()
	if out := n.try(args...); strings.Contains(out, "Error") {
		n.t.Fatalf("nmcli %q: %s", args, out)
	}
}

// add makes a connection for a link, which begins at once.
func (n *networkManager) add(name, link, address, gateway, metric string) {
	n.t.Helper()
	n.nmcli("connection", "add", "type", "ethernet", "ifname", link, "con-name", name, "ipv4.method", "manual", "ipv4.addresses", address,
		"ipv4.gateway", gateway, "ipv4.route-metric", metric, "ipv6.method", "disabled")
}

func TestRealNetworkManager(t *testing.T) {
	n := newNetworkManager(t, "")
	p := newPeer(t)
	p.veth("nm0", "q0", "10.9.5.1/24")
	p.veth("nm1", "q1", "10.9.6.1/24")
	r := runSource(t, n.bus.Address)
	if r.online() {
		t.Error("online at the start")
	}
	n.add("first cable", "nm0", "10.9.5.2/24", "10.9.5.1", "200")
	r.await("fact network-online")
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full CONNECTION=first cable TYPE=802-3-ethernet DEVICE=nm0")
	n.add("better cable", "nm1", "10.9.6.2/24", "10.9.6.1", "100")
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full CONNECTION=better cable TYPE=802-3-ethernet DEVICE=nm1")
	n.nmcli("connection", "delete", "better cable")
	lines := r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full CONNECTION=first cable")
	lines = append(lines, r.settle()...)
	for i, how := range []os.Signal{os.Interrupt, os.Kill} {
		n.end(how)
		n.start()
		await(t, "the connection to be taken up", func() bool {
			return strings.TrimSpace(n.try("-g", "STATE", "general")) == "connected"
		})
		if lines = append(lines, r.settle()...); strings.Contains(strings.Join(lines, "\n"), "network-online") {
			t.Errorf("restart %d: told %q", i, lines)
		}
	}
	n.nmcli("connection", "down", "first cable")
	r.await("no fact network-online")
	r.await("emit network-state-changed STATE=")
	n.nmcli("connection", "up", "first cable")
	r.await("fact network-online")
	n.bus.Stop() // which NetworkManager does not survive; the connection does
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full DEVICE=nm0")
	if !r.online() {
		t.Error("not online without a bus")
	}
	ip(t, "link set nm0 down")
	r.await("no fact network-online")
}

// TestRealPortal has NetworkManager look at a page, which a portal replaces.
func TestRealPortal(t *testing.T) {
	n := newNetworkManager(t, checking)
	p := newPeer(t)
	p.serve("Log in first")
	p.veth("nm0", "q0", "10.9.7.1/24")
	r := runSource(t, n.bus.Address)
	n.add("hotel", "nm0", "10.9.7.2/24", "10.9.7.1", "100")
	lines := r.await("emit network-state-changed STATE=connected-site CONNECTIVITY=portal CONNECTION=hotel")
	if r.online() {
		t.Errorf("online in a portal: %q", lines)
	}
	p.serve("NetworkManager is online")
	await(t, "the check", func() bool { n.try("networking", "connectivity", "check"); return r.online() })
	r.await("emit network-state-changed STATE=connected-global CONNECTIVITY=full CONNECTION=hotel")
	p.serve("Log in again")
	await(t, "the check", func() bool { n.try("networking", "connectivity", "check"); return !r.online() })
	p.serve("NetworkManager is online")
	await(t, "the check", func() bool { n.try("networking", "connectivity", "check"); return r.online() })
	r.settle()
	n.end(os.Kill)
	for range 3 {
		n.start()
		n.end(os.Kill)
	}
	n.start()
	await(t, "the check", func() bool { return strings.TrimSpace(n.try("networking", "connectivity", "check")) == "full" })
	if lines := r.settle(); strings.Contains(strings.Join(lines, "\n"), "no fact network-online") {
		t.Errorf("told %q", lines)
	}
}

// TestAnothersConnection is of a way out that NetworkManager has not made.
func TestAnothersConnection(t *testing.T) {
	n := newNetworkManager(t, "")
	p := newPeer(t)
	p.veth("other0", "q0", "10.9.8.1/24")
	r := runSource(t, n.bus.Address)
	ip(t, "address add 10.9.8.2/24 dev other0\nlink set other0 up\nroute add default via 10.9.8.1")
	began := time.Now()
	r.await("fact network-online")
	t.Logf("online after %v", time.Since(began))
	n.end(os.Kill)
	n.start()
	if lines := r.settle(); strings.Contains(strings.Join(lines, "\n"), "network-online") {
		t.Errorf("told %q", lines)
	}
}
