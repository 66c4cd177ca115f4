package network

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// hostMark in the environment makes the test binary onset-sources with this
// source alone.
const hostMark = "ONSET_TEST_HOST"

func host() int {
	h := eventsources.Host{Address: os.Getenv("UPSTART_SESSION"), Sources: []eventsources.Source{Source{}}, Logf: func(format string, args ...any) {
		fmt.Printf(format+"\n", args...)
	}}
	if err := h.Run(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// newSession is a session in which a job runs the source.
func newSession(t *testing.T, bus string, jobs map[string]string) *sourcetest.Session {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	jobs["sources.conf"] = fmt.Sprintf("start on go\nrespawn\nrespawn limit unlimited\nenv %s=yes\nenv %s=yes\nenv DBUS_SYSTEM_BUS_ADDRESS=%s\nexec %s\n",
		hostMark, insideMark, bus, self)
	s := sourcetest.NewSession(t, jobs)
	s.Initctl("emit", "go")
	return s
}

func pid(s *sourcetest.Session, job string) int {
	status := strings.TrimSpace(s.Initctl("status", job))
	n, _ := strconv.Atoi(status[strings.LastIndexByte(status, ' ')+1:])
	return n
}

// TestSessionAndChangedConnection is of jobs of a session beside Debian's
// NetworkManager, while the source is killed again and again.
func TestSessionAndChangedConnection(t *testing.T) {
	n := newNetworkManager(t, "")
	p := newPeer(t)
	p.veth("nm0", "q0", "10.9.5.1/24")
	p.veth("nm1", "q1", "10.9.6.1/24")
	s := newSession(t, n.bus.Address, map[string]string{
		"online.conf":  "while network-online\nexec sleep 1000000\n",
		"changed.conf": "start on network-state-changed STATE=connected-global CONNECTION=?*\ninstance $CONNECTION\ntask\nexec echo $STATE $DEVICE\n",
		"link.conf":    "while net-device-up INTERFACE=nm1\nexec sleep 1000000\n",
	})
	n.add("home", "nm0", "10.9.5.2/24", "10.9.5.1", "200")
	s.Await("the connection", func() bool { return strings.Contains(s.Log("changed-home"), "connected-global nm0\n") })
	s.Await("the fact", func() bool { return pid(s, "online") > 0 })
	online := pid(s, "online")
	for i := range 3 {
		old := pid(s, "sources")
		if old > 0 {
			syscall.Kill(old, syscall.SIGKILL)
		}
		s.Await("the next host", func() bool { next := pid(s, "sources"); return next > 0 && next != old })
		if i == 1 { // one must come to tell within init's grace time: of a link that is new
			veth(t, "k0", "k1")
			ip(t, "link set k0 up")
			s.Await("the host to tell", func() bool { return strings.Contains(s.Initctl("facts"), "net-device-up IFACE=k0 ") })
		}
	}
	n.add("office", "nm1", "10.9.6.2/24", "10.9.6.1", "100")
	s.Await("the other connection", func() bool { return strings.Contains(s.Log("changed-office"), "connected-global nm1\n") })
	s.Await("the link", func() bool { return pid(s, "link") > 0 })
	s.Await("the facts of the dead to end", func() bool { return strings.Count(s.Initctl("facts"), "network-online") == 1 })
	if now := pid(s, "online"); now != online {
		t.Errorf("the job was interrupted: %d, was %d", now, online)
	}

	// What happens while nobody looks is told by the next.
	s.Initctl("stop", "sources")
	n.nmcli("connection", "down", "office")
	before := s.Log("changed-home")
	s.Initctl("start", "sources")
	s.Await("the first connection", func() bool { return len(s.Log("changed-home")) > len(before) })
	n.nmcli("connection", "down", "home")
	s.Await("the end of the fact", func() bool { return pid(s, "online") == 0 })
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init.
func TestExamples(t *testing.T) {
	needNetwork(t)
	jobs := sourcetest.Examples(t, "network")
	if len(jobs) != 3 {
		t.Fatalf("%d examples", len(jobs))
	}
	bus := sourcetest.NewBus(t)
	nm := newStandIn(t, bus)
	s := newSession(t, bus.Address, jobs)
	veth(t, "x0", "x1")
	ip(t, "link set x0 up")
	s.Await("the link", func() bool { return strings.Contains(s.Initctl("list"), "watch-link (x0) start/running") })
	nm.connect(kindWifi, "home")
	s.Await("the wireless network", func() bool { return strings.Contains(s.Log("wifi"), "wlan0 is on home\n") })
	ip(t, "address add 10.9.4.2/24 dev x0\nroute add default via 10.9.4.1")
	s.Await("the way out", func() bool { return strings.Contains(s.Initctl("list"), "sync start/running") })
	nm.state(60, 2)
	s.Await("the portal", func() bool { return strings.Contains(s.Initctl("list"), "sync stop/waiting") })
	ip(t, "link set x0 down")
	s.Await("the end of the link", func() bool { return !strings.Contains(s.Initctl("list"), "(x0)") })
}
