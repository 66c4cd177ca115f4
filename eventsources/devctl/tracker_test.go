package devctl

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onset/core/expr"
	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

var update = flag.Bool("update", false, "write what the records of testdata come to")

// fake is a kernel that knows some disks.
type fake struct {
	disks  map[string]string
	button bool
	slept  int
}

func (f *fake) class(provider string) string { return f.disks[provider] }
func (f *fake) tellsPowerButton() bool       { return f.button }
func (f *fake) letSleep() error              { f.slept++; return nil }

func newFake() (*tracker, *sourcetest.Recorder, *fake) {
	f := &fake{disks: map[string]string{"vtbd0": "DISK", "ada0": "DISK", "ada0p1": "PART", "mirror/gm0": "MIRROR"}, button: true}
	init := &sourcetest.Recorder{}
	return newTracker(init, f), init, f
}

func handle(t *testing.T, tr *tracker, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := tr.handle(t.Context(), line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecorded plays what a machine told at its boot, and at the coming and
// going of a disk on its USB.
func TestRecorded(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.records")
	if len(files) == 0 {
		t.Fatal("no records")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tr, init, _ := newFake()
			handle(t, tr, strings.Split(strings.TrimSpace(string(text)), "\n")...)
			got := strings.Join(init.Take(), "\n") + "\n"
			golden := strings.TrimSuffix(file, ".records") + ".told"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: told\n%s", file, got)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	for name, c := range map[string]struct {
		records []string
		want    []string
	}{
		"a device on PCI": {
			[]string{"+acpi0 at   on nexus0", "+pcib0 at handle=x on acpi0", "+pci0 at   on pcib0", "+em0 at slot=3 function=0 vendor=0x8086 on pci0"},
			[]string{
				"fact pci-device KERNEL=em0 DEVPATH=/nexus0/acpi0/pcib0/pci0/em0 SUBSYSTEM=pci DRIVER=em DEV_SLOT=3 DEV_FUNCTION=0 DEV_VENDOR=0x8086",
				"emit pci-device-added KERNEL=em0 DEVPATH=/nexus0/acpi0/pcib0/pci0/em0 SUBSYSTEM=pci ACTION=add DRIVER=em DEV_SLOT=3 DEV_FUNCTION=0 DEV_VENDOR=0x8086"}},
		"it goes": {
			[]string{"+em0 at slot=3 on pci0", "-em0 at   on pci0"},
			[]string{
				"no fact pci-device KERNEL=em0 DEVPATH=/pci0/em0 SUBSYSTEM=pci DRIVER=em DEV_SLOT=3",
				"emit pci-device-removed KERNEL=em0 DEVPATH=/pci0/em0 SUBSYSTEM=pci ACTION=remove DRIVER=em DEV_SLOT=3"}},
		"one that was not known goes": {
			[]string{"-em0 at slot=3 on pci0"},
			[]string{"emit pci-device-removed KERNEL=em0 DEVPATH=/pci0/em0 SUBSYSTEM=pci ACTION=remove DRIVER=em DEV_SLOT=3"}},
		"no driver": {
			[]string{"? at slot=4 vendor=0x1234 on pci0"},
			[]string{"emit pci-device-nomatch DEVPATH=/pci0 SUBSYSTEM=pci ACTION=nomatch DEV_SLOT=4 DEV_VENDOR=0x1234"}},
		"an interface": {
			[]string{"!system=IFNET subsystem=em0 type=ATTACH"},
			[]string{
				"fact net-device KERNEL=em0 DEVPATH=/net/em0 SUBSYSTEM=net INTERFACE=em0",
				"emit net-device-added KERNEL=em0 DEVPATH=/net/em0 SUBSYSTEM=net ACTION=add INTERFACE=em0"}},
		"its link": {
			[]string{"!system=IFNET subsystem=em0 type=LINK_UP", "!system=IFNET subsystem=em0 type=LINK_DOWN"},
			[]string{
				"emit net-device-changed KERNEL=em0 DEVPATH=/net/em0 SUBSYSTEM=net ACTION=change INTERFACE=em0 LINK=up",
				"emit net-device-changed KERNEL=em0 DEVPATH=/net/em0 SUBSYSTEM=net ACTION=change INTERFACE=em0 LINK=down"}},
		"it goes, as it came": {
			[]string{"+em0 at   on pci0", "!system=IFNET subsystem=em0 type=ATTACH", "-em0 at   on pci0", "!system=IFNET subsystem=em0 type=DETACH"},
			[]string{
				"no fact net-device KERNEL=em0 DEVPATH=/pci0/em0/net/em0 SUBSYSTEM=net INTERFACE=em0",
				"emit net-device-removed KERNEL=em0 DEVPATH=/pci0/em0/net/em0 SUBSYSTEM=net ACTION=remove INTERFACE=em0"}},
		"a disk": {
			[]string{"!system=DEVFS subsystem=CDEV type=CREATE cdev=ada0", "!system=GEOM subsystem=DEV type=CREATE cdev=ada0"},
			[]string{
				"fact block-device KERNEL=ada0 DEVPATH=/block/ada0 DEVNAME=/dev/ada0 SUBSYSTEM=block DEVTYPE=disk",
				"emit block-device-added KERNEL=ada0 DEVPATH=/block/ada0 DEVNAME=/dev/ada0 SUBSYSTEM=block ACTION=add DEVTYPE=disk"}},
		"its media": {
			[]string{"!system=DEVFS subsystem=CDEV type=MEDIACHANGE cdev=ada0", "!system=GEOM subsystem=DEV type=MEDIACHANGE cdev=ada0"},
			[]string{"emit block-device-changed KERNEL=ada0 DEVPATH=/block/ada0 DEVNAME=/dev/ada0 SUBSYSTEM=block ACTION=change DEVTYPE=disk DEV_CDEV=ada0"}},
		"a disk goes": {
			[]string{"!system=GEOM subsystem=DEV type=CREATE cdev=ada0p1", "!system=GEOM subsystem=DEV type=DESTROY cdev=ada0p1", "!system=DEVFS subsystem=CDEV type=DESTROY cdev=ada0p1"},
			[]string{
				"no fact block-device KERNEL=ada0p1 DEVPATH=/block/ada0p1 DEVNAME=/dev/ada0p1 SUBSYSTEM=block DEVTYPE=partition",
				"emit block-device-removed KERNEL=ada0p1 DEVPATH=/block/ada0p1 DEVNAME=/dev/ada0p1 SUBSYSTEM=block ACTION=remove DEVTYPE=partition"}},
		"a disk goes, its node first": {
			[]string{"!system=GEOM subsystem=DEV type=CREATE cdev=ada0p1", "!system=DEVFS subsystem=CDEV type=DESTROY cdev=ada0p1", "!system=GEOM subsystem=DEV type=DESTROY cdev=ada0p1"},
			[]string{
				"no fact block-device KERNEL=ada0p1 DEVPATH=/block/ada0p1 DEVNAME=/dev/ada0p1 SUBSYSTEM=block DEVTYPE=partition",
				"emit block-device-removed KERNEL=ada0p1 DEVPATH=/block/ada0p1 DEVNAME=/dev/ada0p1 SUBSYSTEM=block ACTION=remove DEVTYPE=partition"}},
		"a serial port": {
			[]string{"!system=DEVFS subsystem=CDEV type=CREATE cdev=ttyU0"},
			[]string{
				"fact tty-device KERNEL=ttyU0 DEVPATH=/tty/ttyU0 DEVNAME=/dev/ttyU0 SUBSYSTEM=tty",
				"emit tty-device-added KERNEL=ttyU0 DEVPATH=/tty/ttyU0 DEVNAME=/dev/ttyU0 SUBSYSTEM=tty ACTION=add"}},
		"another node": {
			[]string{"!system=DEVFS subsystem=CDEV type=CREATE cdev=xpt0"},
			[]string{
				"fact cdev-device KERNEL=xpt0 DEVPATH=/cdev/xpt0 DEVNAME=/dev/xpt0 SUBSYSTEM=cdev",
				"emit cdev-device-added KERNEL=xpt0 DEVPATH=/cdev/xpt0 DEVNAME=/dev/xpt0 SUBSYSTEM=cdev ACTION=add"}},
		"settings of a port": {[]string{"!system=DEVFS subsystem=CDEV type=CREATE cdev=ttyU0.init", "!system=DEVFS subsystem=CDEV type=CREATE cdev=ttyU0.lock"}, nil},
		"pseudo terminals":   {[]string{"!system=DEVFS subsystem=CDEV type=CREATE cdev=pts/0", "!system=DEVFS subsystem=CDEV type=DESTROY cdev=pts/0"}, nil},
		"a device on USB": {
			[]string{`!system=USB subsystem=DEVICE type=ATTACH ugen=ugen0.2 cdev=ugen0.2 vendor=0x46f4 sernum="a \"b\\" port=1`, "!system=DEVFS subsystem=CDEV type=CREATE cdev=ugen0.2"},
			[]string{
				"fact usb-device KERNEL=ugen0.2 DEVPATH=/usb/ugen0.2 DEVNAME=/dev/ugen0.2 SUBSYSTEM=usb DEVTYPE=usb_device",
				`emit usb-device-added KERNEL=ugen0.2 DEVPATH=/usb/ugen0.2 DEVNAME=/dev/ugen0.2 SUBSYSTEM=usb ACTION=add DEVTYPE=usb_device DEV_UGEN=ugen0.2 DEV_CDEV=ugen0.2 DEV_VENDOR=0x46f4 DEV_SERNUM=a "b\ DEV_PORT=1`}},
		"the lid": {
			[]string{`!system=ACPI subsystem=Lid type=\_SB_.LID0 notify=0x01`, `!system=ACPI subsystem=Lid type=\_SB_.LID0 notify=0x00`},
			[]string{
				`emit acpi CLASS=Lid DEVICE=\_SB_.LID0 NOTIFY=0x01`, "fact lid-open", "emit lid-opened",
				`emit acpi CLASS=Lid DEVICE=\_SB_.LID0 NOTIFY=0x00`, "no fact lid-open", "emit lid-closed"}},
		"mains": {
			[]string{`!system=ACPI subsystem=ACAD type=\ notify=0x01`, `!system=ACPI subsystem=ACAD type=\ notify=0x00`},
			[]string{
				`emit acpi CLASS=ACAD DEVICE=\ NOTIFY=0x01`, "fact ac-power", "emit ac-online",
				`emit acpi CLASS=ACAD DEVICE=\ NOTIFY=0x00`, "no fact ac-power", "emit ac-offline"}},
		"the power button, of which init hears": {
			[]string{`!system=ACPI subsystem=Button type=\_SB_.PWRB notify=0x00`},
			[]string{`emit acpi CLASS=Button DEVICE=\_SB_.PWRB NOTIFY=0x00`}},
		"the sleep button": {
			[]string{`!system=ACPI subsystem=Button type=\_SB_.SLPB notify=0x01`},
			[]string{`emit acpi CLASS=Button DEVICE=\_SB_.SLPB NOTIFY=0x01`}},
		"something else": {
			[]string{"!system=kern subsystem=power type=resume"},
			[]string{"emit devctl SYSTEM=kern SUBSYSTEM=power TYPE=resume"}},
		"words without a key": {
			[]string{"!system=PMU subsystem=Battery type=low temp"},
			[]string{"emit devctl SYSTEM=PMU SUBSYSTEM=Battery TYPE=low temp"}},
		"texts that are not printable": {
			[]string{"!system=A\x01B subsystem=\xff type=c\u00e9 k\n=\"\x1b[2J\""},
			[]string{"emit devctl SYSTEM=AB SUBSYSTEM= TYPE=c DEV_K_=[2J"}},
		"variables of their own": {
			[]string{`!system=USB subsystem=DEVICE type=SPEED sernum="" PATH=/evil LD_PRELOAD="x"`},
			[]string{"emit devctl SYSTEM=USB SUBSYSTEM=DEVICE TYPE=SPEED DEV_SERNUM= DEV_PATH=/evil DEV_LD_PRELOAD=x"}},
		"no room for the parent": {
			[]string{"+em0 at slot=3 vendor=0x80"},
			[]string{
				"fact platform-device KERNEL=em0 DEVPATH=/em0 SUBSYSTEM=platform DRIVER=em DEV_SLOT=3 DEV_VENDOR=0x80",
				"emit platform-device-added KERNEL=em0 DEVPATH=/em0 SUBSYSTEM=platform ACTION=add DRIVER=em DEV_SLOT=3 DEV_VENDOR=0x80"}},
		"not a record":    {[]string{"hello"}, []string{`log cannot read the record "hello\n"`}},
		"half a record":   {[]string{"!system=IFNET subsystem=em0"}, []string{`log cannot read the record "!system=IFNET subsystem=em0\n"`}},
		"a nameless one":  {[]string{"+ at   on pci0"}, []string{`log cannot read the record "+ at   on pci0\n"`}},
		"nothing at all":  {[]string{""}, []string{`log cannot read the record "\n"`}},
		"a named nobody":  {[]string{"?em0 at   on pci0"}, []string{`log cannot read the record "?em0 at   on pci0\n"`}},
		"an open quote":   {[]string{`!system=A subsystem=B type=C k="v`}, []string{"emit devctl SYSTEM=A SUBSYSTEM=B TYPE=C DEV_K=v"}},
		"an empty type":   {[]string{`!system=A subsystem=B type=`}, []string{"emit devctl SYSTEM=A SUBSYSTEM=B TYPE="}},
		"a node unnamed":  {[]string{"!system=DEVFS subsystem=CDEV type=CREATE"}, []string{"emit devctl SYSTEM=DEVFS SUBSYSTEM=CDEV TYPE=CREATE"}},
		"a disk unnamed":  {[]string{"!system=GEOM subsystem=DEV type=CREATE"}, []string{"emit devctl SYSTEM=GEOM SUBSYSTEM=DEV TYPE=CREATE"}},
		"a disk's change": {[]string{"!system=GEOM subsystem=disk type=GEOM::physpath devname=ada0"}, []string{"emit block-device-changed KERNEL=ada0 DEVPATH=/block/ada0 DEVNAME=/dev/ada0 SUBSYSTEM=block ACTION=change DEVTYPE=disk DEV_DEVNAME=ada0"}},
	} {
		t.Run(name, func(t *testing.T) {
			tr, init, _ := newFake()
			handle(t, tr, c.records...)
			got := init.Take()
			if len(got) > len(c.want) && len(c.want) > 0 {
				got = got[len(got)-len(c.want):] // those of the last record
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestPowerButtonOfWhichInitDoesNotHear(t *testing.T) {
	tr, init, f := newFake()
	f.button = false
	handle(t, tr, `!system=ACPI subsystem=Button type=\_SB_.PWRB notify=0x00`)
	if got := init.Take(); !slices.Equal(got[1:], []string{"emit power-button"}) {
		t.Errorf("told %q", got)
	}
}

func TestSuspendIsAgreedTo(t *testing.T) {
	tr, _, f := newFake()
	if handle(t, tr, `!system=ACPI subsystem=Suspend type=\ notify=0x03`); f.slept != 1 {
		t.Error("the kernel still waits for an answer")
	}
}

// machineNow is what exists in the tests of scans.
func machineNow(names ...string) *snapshot {
	s := &snapshot{providers: map[string]string{"ada0": "DISK"}, nodes: []string{"ada0", "null", "ttyv0", "ugen0.2", "pts/0"},
		interfaces: []string{"lo0"}, ac: on}
	s.devices = []attached{{name: "nexus0"}, {name: "pci0", parent: "nexus0"}}
	for _, name := range names {
		s.devices = append(s.devices, attached{name, "pci0", "slot=3", "vendor=0x8086"})
	}
	return s
}

// short are the lines with no more than the first variable, without those of
// other subsystems.
func short(lines []string, subsystem string) (list []string) {
	for _, l := range lines {
		words := strings.Fields(l)
		for i, w := range words {
			if strings.HasPrefix(w, subsystem+"-device") && len(words) > i+1 {
				list = append(list, strings.Join(words[:i+2], " "))
			}
		}
	}
	return list
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: told\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBegin(t *testing.T) {
	tr, init, _ := newFake()
	if err := tr.begin(t.Context(), machineNow("em0"), false); err != nil {
		t.Fatal(err)
	}
	equal(t, "facts", init.Facts(),
		"platform-device KERNEL=nexus0 DEVPATH=/nexus0 SUBSYSTEM=platform DRIVER=nexus",
		"platform-device KERNEL=pci0 DEVPATH=/nexus0/pci0 SUBSYSTEM=platform DRIVER=pci",
		"pci-device KERNEL=em0 DEVPATH=/nexus0/pci0/em0 SUBSYSTEM=pci DRIVER=em DEV_SLOT=3 DEV_VENDOR=0x8086",
		"net-device KERNEL=lo0 DEVPATH=/net/lo0 SUBSYSTEM=net INTERFACE=lo0",
		"block-device KERNEL=ada0 DEVPATH=/block/ada0 DEVNAME=/dev/ada0 SUBSYSTEM=block DEVTYPE=disk",
		"cdev-device KERNEL=null DEVPATH=/cdev/null DEVNAME=/dev/null SUBSYSTEM=cdev",
		"tty-device KERNEL=ttyv0 DEVPATH=/tty/ttyv0 DEVNAME=/dev/ttyv0 SUBSYSTEM=tty",
		"usb-device KERNEL=ugen0.2 DEVPATH=/usb/ugen0.2 DEVNAME=/dev/ugen0.2 SUBSYSTEM=usb DEVTYPE=usb_device",
		"ac-power")
	init.Take()
	handle(t, tr, "+em0 at slot=3 vendor=0x8086 on pci0")
	equal(t, "the record of what was found", short(init.Take(), "pci"), "emit pci-device-added KERNEL=em0")
}

func TestBeginWithAFullQueue(t *testing.T) {
	tr, init, _ := newFake()
	if err := tr.begin(t.Context(), machineNow("em0"), true); err != nil {
		t.Fatal(err)
	}
	equal(t, "begin", short(init.Take(), "pci"), "fact pci-device KERNEL=em0", "emit pci-device-added KERNEL=em0")
}

// TestRescan loses records of em0, which went, and em1, which came; those that
// follow are partly older than the scan.
func TestRescan(t *testing.T) {
	tr, init, _ := newFake()
	if err := tr.begin(t.Context(), machineNow("em0", "em2"), false); err != nil {
		t.Fatal(err)
	}
	init.Take()
	if err := tr.rescan(t.Context(), machineNow("em1", "em2"), 4); err != nil {
		t.Fatal(err)
	}
	equal(t, "scan", short(init.Take(), "pci"), "no fact pci-device KERNEL=em0", "emit pci-device-removed KERNEL=em0",
		"fact pci-device KERNEL=em1", "emit pci-device-added KERNEL=em1")
	handle(t, tr, "-em0 at slot=3 on pci0", "+em1 at slot=3 on pci0")
	equal(t, "repetition", short(init.Take(), "pci"))
	handle(t, tr, "-em2 at slot=3 on pci0", "+em2 at slot=3 on pci0")
	equal(t, "what came back", short(init.Take(), "pci"), "no fact pci-device KERNEL=em2", "emit pci-device-removed KERNEL=em2",
		"fact pci-device KERNEL=em2", "emit pci-device-added KERNEL=em2")
	handle(t, tr, "+em1 at slot=3 on pci0")
	equal(t, "what comes after", short(init.Take(), "pci"), "emit pci-device-added KERNEL=em1")
}

func TestRescanOfPower(t *testing.T) {
	tr, init, _ := newFake()
	for _, c := range []struct {
		ac   state
		want []string
	}{{on, []string{"ac-power"}}, {unknown, []string{"ac-power"}}, {off, nil}, {unknown, nil}} {
		if err := tr.rescan(t.Context(), &snapshot{ac: c.ac}, 0); err != nil {
			t.Fatal(err)
		}
		equal(t, "scan", init.Facts(), c.want...)
	}
}

func TestBlocksAreBounded(t *testing.T) {
	tr, _, _ := newFake()
	for n := range 5 * maxBlocks {
		handle(t, tr, "!system=GEOM subsystem=DEV type=DESTROY cdev=da"+strings.Repeat("1", n%7)+strings.Repeat("2", n/7))
	}
	if len(tr.blocks) > maxBlocks+1 {
		t.Errorf("%d names are kept", len(tr.blocks))
	}
}

func TestPathOfALoop(t *testing.T) {
	loop := tree{"a": "b", "b": "a"}
	if p := loop.path("a"); len(p) > 1000 {
		t.Errorf("%d bytes", len(p))
	}
}

func TestConcerns(t *testing.T) {
	for name, want := range map[string][2]bool{ // as an event, as a fact
		"usb-device-added": {true, false}, "usb-device": {false, true}, "devctl": {true, false}, "acpi": {true, false},
		"lid-open": {false, true}, "lid-opened": {true, false}, "pci-device-nomatch": {true, false}, "net-device-up": {false, false}, "net-device-down": {false, false},
		"started": {false, false}, "nginx": {false, false},
	} {
		for i, fact := range []bool{false, true} {
			c := eventsources.Condition{Fact: fact, Operand: expr.Node{Name: name}}
			if got := (Source{}).Concerns(c); got != want[i] {
				t.Errorf("%s, fact %v: %v", name, fact, got)
			}
		}
	}
}

func FuzzHandle(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.records")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f.Add(line)
		}
	}
	f.Add(`!system=USB subsystem=DEVICE type=ATTACH ugen=ugen0.2 sernum="\"\\`)
	f.Fuzz(func(t *testing.T, line string) {
		tr, init, _ := newFake()
		for range 2 {
			if err := tr.handle(t.Context(), line); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range init.Take() {
			if strings.HasPrefix(l, "log ") {
				continue
			}
			if i := strings.IndexFunc(l, func(r rune) bool { return (r < ' ' || r > '~') && r != '\t' }); i >= 0 {
				t.Errorf("neither printable nor blank at %d: %q", i, l)
			}
		}
	})
}
