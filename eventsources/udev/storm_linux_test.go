package udev

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// storm is a network of its own in which a test is udevd.
type storm struct {
	tb      testing.TB
	network *os.File
	fd      int
	n       int
}

// newStorm makes that network, and has sources look at a system without
// devices.
func newStorm(tb testing.TB, room int) *storm {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("SKIPPED: only root gets a network of its own")
	}
	dir := tb.TempDir()
	control, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, "control"), Net: "unixpacket"})
	if err != nil {
		tb.Fatal(err)
	}
	before := here
	here = system{sys: dir, udev: dir, tools: []string{dir}, mark: filepath.Join(dir, "mark"), room: room}
	s := &storm{tb: tb}
	opened := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // which ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
		}
		if err == nil {
			s.network, err = os.Open("/proc/thread-self/ns/net")
		}
		opened <- err
	}()
	if err := <-opened; err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		unix.Close(s.fd)
		s.network.Close()
		control.Close()
		here = before
	})
	return s
}

// run has a source run in the network until the test ends.
func (s *storm) run(run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	s.tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.tb.Error(err)
		}
	})
}

// inStorm is the source in that network, with a counter before init.
type inStorm struct {
	Source
	storm *storm
	count *counter
}

func (s inStorm) Run(ctx context.Context, init eventsources.Init) error {
	runtime.LockOSThread()
	if err := unix.Setns(int(s.storm.network.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	s.count.Init = init
	return s.Source.Run(ctx, s.count)
}

// send says what udevd would of the next device.
func (s *storm) send(subsystem string) {
	s.n++
	path := fmt.Sprintf("/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/%s/d%d", subsystem, s.n)
	data := fromUdevd("ACTION=add", "DEVPATH="+path, "SUBSYSTEM="+subsystem, fmt.Sprintf("DEVNAME=/dev/d%d", s.n),
		"DEVTYPE=disk", "MAJOR=8", "MINOR=0", fmt.Sprintf("SEQNUM=%d", s.n), "USEC_INITIALIZED=1234567",
		"ID_ATA=1", "ID_TYPE=disk", "ID_BUS=ata", "ID_MODEL=QEMU_HARDDISK", "ID_SERIAL=QEMU_HARDDISK_QM00001", "ID_REVISION=2.5+",
		"ID_PATH=pci-0000:00:1f.2-ata-1", "ID_PATH_TAG=pci-0000_00_1f_2-ata-1", "TAGS=:systemd:", "CURRENT_TAGS=:systemd:")
	for {
		err := unix.Sendto(s.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: uint32(udevGroup)})
		switch err {
		case nil:
			return
		case unix.ECONNREFUSED: // nobody listens yet
			time.Sleep(time.Millisecond)
		default:
			s.tb.Fatal(err)
		}
	}
}

// counter is an init that counts events of block devices.
type counter struct {
	eventsources.Init
	listens atomic.Bool
	events  atomic.Int64
}

func (c *counter) Emit(ctx context.Context, e eventsources.Event) error {
	if e.Name == "block-device-added" {
		c.events.Add(1)
	} else {
		c.listens.Store(true)
	}
	return c.Init.Emit(ctx, e)
}

func (c *counter) await(tb testing.TB, n int64) {
	tb.Helper()
	for end := time.Now().Add(sourcetest.Patience); c.events.Load() < n; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			tb.Fatalf("%d of %d events", c.events.Load(), n)
		}
	}
}

// begin has the source run with an init of the test.
func (s *storm) begin(init eventsources.Init, c *counter) {
	s.run(func(ctx context.Context) error { return inStorm{storm: s, count: c}.Run(ctx, init) })
	s.arrive(c)
}

// arrive sends until something arrives.
func (s *storm) arrive(c *counter) {
	for end := time.Now().Add(sourcetest.Patience); !c.listens.Load(); time.Sleep(time.Millisecond) {
		if s.send("hello"); time.Now().After(end) {
			s.tb.Fatal("the source does not listen")
		}
	}
}

// deaf is an init that forgets events.
type deaf struct{ sourcetest.Recorder }

func (*deaf) Emit(ctx context.Context, _ eventsources.Event) error { return ctx.Err() }

func newDeaf() (*deaf, *counter) {
	init := &deaf{}
	init.SetConditions(conditions("block-device-added", "hello-device-added"))
	return init, &counter{}
}

// TestStorm has 100,000 messages come faster than they are read, but for what
// does not fit into the kernel's memory.
func TestStorm(t *testing.T) {
	init, count := newDeaf()
	s := newStorm(t, here.room)
	s.begin(init, count)
	const all, room = 100_000, 30_000
	for i := range int64(all) {
		if i >= room {
			count.await(t, i-room)
		}
		s.send("block")
	}
	count.await(t, all)
	if lines := init.Take(); len(lines) > 0 {
		t.Errorf("told %q", lines)
	}
}

// stuck is a deaf init that takes no event while it is locked.
type stuck struct {
	deaf
	sync.Mutex
}

func (s *stuck) Emit(ctx context.Context, e eventsources.Event) error {
	s.Lock()
	defer s.Unlock()
	return s.deaf.Emit(ctx, e)
}

// TestOverflow has more messages come than there is room for, again and again:
// this is noticed, and said once.
func TestOverflow(t *testing.T) {
	init, count := &stuck{}, &counter{}
	init.SetConditions(conditions("block-device-added", "hello-device-added"))
	s := newStorm(t, 100_000)
	s.begin(init, count)
	for range 3 {
		init.Lock()
		for range 1000 {
			s.send("block")
		}
		init.Unlock()
		count.listens.Store(false)
		s.arrive(count) // when all is read that waited
	}
	if lines := init.Take(); len(lines) != 1 || !strings.HasPrefix(lines[0], "log uevents came faster") {
		t.Errorf("told %q", lines)
	}
}

// BenchmarkUevents is from udevd's message to the source's event, and into the
// real init, in which a job names the events and another variable.
func BenchmarkUevents(b *testing.B) {
	b.Run("to=source", func(b *testing.B) {
		init, count := newDeaf()
		s := newStorm(b, here.room)
		s.begin(init, count)
		s.measure(b, count)
	})
	b.Run("to=init", func(b *testing.B) {
		session := sourcetest.NewSession(b, map[string]string{"job.conf": "start on block-device-added KERNEL=none or hello-device-added KERNEL=none\n"})
		count := &counter{}
		s := newStorm(b, here.room)
		host := eventsources.Host{Address: session.Address, Sources: []eventsources.Source{inStorm{storm: s, count: count}}, Logf: b.Logf}
		s.run(host.Run)
		s.arrive(count)
		s.measure(b, count)
	})
}

// measure sends as much as fits and waits for it, again and again.
func (s *storm) measure(b *testing.B, count *counter) {
	const room = 20_000
	n := int64(0)
	for b.ResetTimer(); b.Loop(); {
		s.send("block")
		if n++; n%room == 0 {
			count.await(b, n-room/2)
		}
	}
	count.await(b, n)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}
