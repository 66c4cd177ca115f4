package udev

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onset/eventsources/sourcetest"
)

// message is one of the kernel's.
func message(action, path, subsystem string, more ...string) uevent {
	u, ok := read(kernelGroup, fromKernel(action+"@"+path, append([]string{"ACTION=" + action, "DEVPATH=" + path, "SUBSYSTEM=" + subsystem}, more...)...))
	if !ok {
		panic("the message is not read")
	}
	return u
}

func newTest(t *testing.T, names ...string) (*tracker, *sourcetest.Recorder) {
	t.Helper()
	init := &sourcetest.Recorder{}
	tr := newTracker(init, Source{})
	begin(t, tr, wanted(conditions(names...), false))
	return tr, init
}

func begin(t *testing.T, tr *tracker, w wants, anew ...found) {
	t.Helper()
	if err := tr.begin(w, anew); err != nil {
		t.Fatal(err)
	}
}

func handle(t *testing.T, tr *tracker, list ...uevent) {
	t.Helper()
	for _, u := range list {
		if err := tr.handle(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
}

func told(t *testing.T, init *sourcetest.Recorder, want ...string) {
	t.Helper()
	if got := init.Take(); !slices.Equal(got, want) {
		t.Errorf("told\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestFactsHoldBeforeAndNotAfterEvents(t *testing.T) {
	tr, init := newTest(t, "net-device-added", "net-device-removed", "while net-device")
	handle(t, tr, message("add", "/d/a", "net", "INTERFACE=a", "SEQNUM=1"),
		message("change", "/d/a", "net", "INTERFACE=a", "SEQNUM=3"), message("remove", "/d/a", "net", "INTERFACE=a", "SEQNUM=4"))
	told(t, init, "fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net INTERFACE=a",
		"emit net-device-added KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=add INTERFACE=a SEQNUM=1",
		"no fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net INTERFACE=a",
		"emit net-device-removed KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=remove INTERFACE=a SEQNUM=4")
	if len(tr.held) != 0 {
		t.Errorf("held: %v", tr.held)
	}
}

func TestFactsChangeWithoutAGap(t *testing.T) {
	tr, init := newTest(t, "net-device-move", "while net-device")
	handle(t, tr, message("add", "/d/a", "net", "INTERFACE=a", "SEQNUM=1"),
		message("change", "/d/a", "net", "INTERFACE=a", "ADDRESS=1", "SEQNUM=2"),
		message("change", "/d/a", "net", "INTERFACE=a\x01", "ADDRESS=1", "SEQNUM=2", "TAGS=:x:", "UDEV_DATABASE_VERSION=1"),
		message("move", "/d/b", "net", "INTERFACE=b", "DEVPATH_OLD=/d/a", "SEQNUM=3"))
	told(t, init, "fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net INTERFACE=a",
		"fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ADDRESS=1 INTERFACE=a", "no fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net INTERFACE=a",
		"fact net-device KERNEL=b DEVPATH=/d/b SUBSYSTEM=net INTERFACE=b", "no fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ADDRESS=1 INTERFACE=a",
		"emit net-device-move KERNEL=b DEVPATH=/d/b SUBSYSTEM=net ACTION=move DEVPATH_OLD=/d/a INTERFACE=b SEQNUM=3")
}

func TestNothingIsToldTwice(t *testing.T) {
	tr, init := newTest(t, "net-device-added", "net-device-removed", "net-device-changed")
	handle(t, tr, message("add", "/d/a", "net", "SEQNUM=5"), message("add", "/d/b", "net", "SEQNUM=6"))
	init.Take()
	there := func(path string) found { return found{uevent: message("add", path, "net"), handled: true} }
	if err := tr.compare(t.Context(), []found{there("/d/a"), there("/d/c"), {uevent: message("add", "/d/late", "net")}}, true, 10, 10); err != nil {
		t.Fatal(err)
	}
	told(t, init, "emit net-device-removed KERNEL=b DEVPATH=/d/b SUBSYSTEM=net ACTION=remove",
		"emit net-device-added KERNEL=c DEVPATH=/d/c SUBSYSTEM=net ACTION=add")
	handle(t, tr, message("remove", "/d/b", "net", "SEQNUM=8"), message("add", "/d/c", "net", "SEQNUM=9"), message("add", "/d/late", "net", "SEQNUM=10"))
	told(t, init, "emit net-device-added KERNEL=late DEVPATH=/d/late SUBSYSTEM=net ACTION=add SEQNUM=10")
	handle(t, tr, message("add", "/d/c", "net", "SEQNUM=11"), message("remove", "/d/x", "net", "SEQNUM=12"))
	told(t, init, "emit net-device-added KERNEL=c DEVPATH=/d/c SUBSYSTEM=net ACTION=add SEQNUM=11",
		"emit net-device-removed KERNEL=x DEVPATH=/d/x SUBSYSTEM=net ACTION=remove SEQNUM=12")
	tr.told = tr.last // the other group told so far
	handle(t, tr, message("add", "/d/x", "net", "SEQNUM=11"), message("remove", "/d/c", "net", "SEQNUM=12"), message("change", "/d/c", "net", "SEQNUM=12"), message("change", "/d/c", "net", "SEQNUM=13"))
	told(t, init, "emit net-device-changed KERNEL=c DEVPATH=/d/c SUBSYSTEM=net ACTION=change SEQNUM=13")
}

// TestLooksAreAheadOfMessages wants what looks found coming and going told once,
// and what comes again told once more.
func TestLooksAreAheadOfMessages(t *testing.T) {
	tr, init := newTest(t, "net-device-added", "net-device-removed")
	look := func(began, seen uint64, all ...found) {
		if err := tr.compare(t.Context(), all, false, began, seen); err != nil {
			t.Fatal(err)
		}
	}
	look(1, 1, found{uevent: message("add", "/d/a", "net")})
	look(4, 5)
	told(t, init, "emit net-device-added KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=add",
		"emit net-device-removed KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=remove")
	handle(t, tr, message("add", "/d/a", "net", "SEQNUM=1"), message("remove", "/d/a", "net", "SEQNUM=2"))
	told(t, init)
	handle(t, tr, message("add", "/d/b", "net", "SEQNUM=3"), message("remove", "/d/b", "net", "SEQNUM=4"), message("add", "/d/a", "net", "SEQNUM=5"))
	told(t, init, "emit net-device-added KERNEL=b DEVPATH=/d/b SUBSYSTEM=net ACTION=add SEQNUM=3",
		"emit net-device-removed KERNEL=b DEVPATH=/d/b SUBSYSTEM=net ACTION=remove SEQNUM=4",
		"emit net-device-added KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=add SEQNUM=5")
	if look(5, 5, found{uevent: message("add", "/d/n", "net")}); len(tr.gone) == 0 || len(tr.came) == 0 {
		t.Error("nothing is remembered")
	}
	if handle(t, tr, message("add", "/d/c", "net", "SEQNUM=9999")); len(tr.gone) > 0 || len(tr.came) > 0 {
		t.Errorf("%d are remembered for ever", len(tr.gone)+len(tr.came))
	}
}

// TestTriggerDuringALook has udevadm trigger what exists while the source looks
// at it, as it does when udevd comes: all of it is told.
func TestTriggerDuringALook(t *testing.T) {
	tr, init := newTest(t, "net-device-added")
	begin(t, tr, tr.want, found{uevent: message("add", "/d/a", "net")})
	there := []found{{uevent: message("add", "/d/a", "net")}, {uevent: message("add", "/d/new", "net")}}
	if err := tr.compare(t.Context(), there, false, 3, 8); err != nil {
		t.Fatal(err)
	}
	handle(t, tr, message("add", "/d/new", "net", "SEQNUM=6"), message("add", "/d/a", "net", "ID_X=y", "SEQNUM=7"))
	told(t, init, "emit net-device-added KERNEL=new DEVPATH=/d/new SUBSYSTEM=net ACTION=add",
		"emit net-device-added KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=add ID_X=y SEQNUM=7")
}

func TestAllIsForwarded(t *testing.T) {
	init := &sourcetest.Recorder{}
	tr := newTracker(init, Source{All: true})
	handle(t, tr, message("add", "/d/a", "net"), message("shake", "/d/b", "usb"))
	told(t, init, "emit net-device-added KERNEL=a DEVPATH=/d/a SUBSYSTEM=net ACTION=add",
		"emit usb-device-shake KERNEL=b DEVPATH=/d/b SUBSYSTEM=usb ACTION=shake")
}

// tree makes files; one whose text begins with "-> " is a link.
func tree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if target, ok := strings.CutPrefix(text, "-> "); ok && err == nil {
			err = os.Symlink(target, name)
		} else if err == nil {
			err = os.WriteFile(name, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestScan(t *testing.T) {
	dir := tree(t, map[string]string{
		"sys/class/block/sda":                 "-> ../../devices/x/block/sda",
		"sys/class/block/sda1":                "-> ../../devices/x/block/sda/sda1",
		"sys/class/block/gone":                "-> ../../devices/x/block/gone",
		"sys/devices/x/block/sda/uevent":      "MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n",
		"sys/devices/x/block/sda/sda1/uevent": "MAJOR=8\nMINOR=1\nDEVNAME=sda1\nDEVTYPE=partition\n",
		"udev/data/b8:0":                      "S:disk/z\nS:disk/a\nI:5\nE:ID_BUS=ata\nG:systemd\n",
		"sys/class/net/eth0":                  "-> ../../devices/x/net/eth0",
		"sys/class/net/masters":               "no device",
		"sys/devices/x/net/eth0/uevent":       "INTERFACE=eth0\nIFINDEX=3\n",
		"udev/data/n3":                        "E:ID_NET=a\n",
		"sys/bus/pci/devices/0:1":             "-> ../../../devices/x/0:1",
		"sys/devices/x/0:1/uevent":            "DRIVER=e1000\n",
		"udev/data/+pci:0:1":                  "E:ID_MODEL=m\n",
		"sys/kernel/uevent_seqnum":            "42\n",
	})
	s := system{sys: filepath.Join(dir, "sys"), udev: filepath.Join(dir, "udev")}
	if n := s.last(); n != 42 {
		t.Errorf("seqnum %d", n)
	}
	want := []string{
		"pci-device KERNEL=0:1 DEVPATH=/devices/x/0:1 SUBSYSTEM=pci DRIVER=e1000 ID_MODEL=m true",
		"block-device KERNEL=sda DEVPATH=/devices/x/block/sda DEVNAME=/dev/sda SUBSYSTEM=block DEVLINKS=/dev/disk/a /dev/disk/z DEVTYPE=disk ID_BUS=ata MAJOR=8 MINOR=0 true",
		"block-device KERNEL=sda1 DEVPATH=/devices/x/block/sda/sda1 DEVNAME=/dev/sda1 SUBSYSTEM=block DEVTYPE=partition MAJOR=8 MINOR=1 false",
		"net-device KERNEL=eth0 DEVPATH=/devices/x/net/eth0 SUBSYSTEM=net ID_NET=a IFINDEX=3 INTERFACE=eth0 true",
	}
	for _, w := range []wants{{all: true}, wanted(conditions("while block-device", "while net-device", "pci-device-added", "while none-device", "while ../class/net-device"), false)} {
		var got []string
		for _, f := range s.scan(w) {
			fact := factOf(f.lasting(), true)
			handled := " false"
			if f.handled {
				handled = " true"
			}
			got = append(got, fact.Name+" "+strings.Join(fact.Env, " ")+handled)
		}
		if !slices.Equal(got, want) {
			t.Errorf("all %v: found\n\t%s\nwant\n\t%s", w.all, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
}

func TestWhatJobsNameChanges(t *testing.T) {
	tr, init := newTest(t, "net-device-added")
	handle(t, tr, message("add", "/d/a", "net"))
	init.Take()
	begin(t, tr, wanted(conditions("net-device-added", "while net-device", "while usb-device"), false), found{uevent: message("add", "/d/s", "usb")})
	told(t, init, "fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net", "fact usb-device KERNEL=s DEVPATH=/d/s SUBSYSTEM=usb")
	begin(t, tr, wanted(conditions("while usb-device"), false))
	told(t, init, "no fact net-device KERNEL=a DEVPATH=/d/a SUBSYSTEM=net")
	if len(tr.held) != 1 {
		t.Errorf("held: %v", tr.held)
	}
}
