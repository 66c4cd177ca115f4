package udev

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// fromUdevd is a message as udevd sends it.
func fromUdevd(vars ...string) []byte {
	properties := strings.Join(vars, "\x00") + "\x00"
	b := make([]byte, udevHeader, udevHeader+len(properties))
	copy(b, udevPrefix)
	binary.BigEndian.PutUint32(b[8:], udevMagic)
	binary.NativeEndian.PutUint32(b[12:], udevHeader)
	binary.NativeEndian.PutUint32(b[udevOffsetAt:], udevHeader)
	binary.NativeEndian.PutUint32(b[udevLengthAt:], uint32(len(properties)))
	return append(b, properties...)
}

// fromKernel is a message as the kernel sends it.
func fromKernel(head string, vars ...string) []byte {
	return []byte(head + "\x00" + strings.Join(vars, "\x00") + "\x00")
}

func read(g group, data []byte) (u uevent, ok bool) {
	vars, ok := g.properties(data)
	if !ok {
		return u, false
	}
	return parse(vars)
}

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		what        string
		group       group
		data        []byte
		event, fact string
	}{
		{"the kernel's disk", kernelGroup,
			fromKernel("add@/devices/x/block/sda", "ACTION=add", "DEVPATH=/devices/x/block/sda", "SUBSYSTEM=block", "MAJOR=8", "MINOR=0", "DEVNAME=sda", "DEVTYPE=disk", "SEQNUM=7"),
			"block-device-added KERNEL=sda DEVPATH=/devices/x/block/sda DEVNAME=/dev/sda SUBSYSTEM=block ACTION=add DEVTYPE=disk MAJOR=8 MINOR=0 SEQNUM=7",
			"block-device KERNEL=sda DEVPATH=/devices/x/block/sda DEVNAME=/dev/sda SUBSYSTEM=block DEVTYPE=disk MAJOR=8 MINOR=0"},
		{"udevd's disk", udevGroup,
			fromUdevd("ACTION=change", "DEVPATH=/devices/x/block/sda", "SUBSYSTEM=block", "DEVNAME=/dev/sda", "SEQNUM=8", "USEC_INITIALIZED=5",
				"ID_FS_LABEL=a", "ID_FS=b", "DEVLINKS=/dev/disk/z /dev/disk/a", "TAGS=:systemd:"),
			"block-device-changed KERNEL=sda DEVPATH=/devices/x/block/sda DEVNAME=/dev/sda SUBSYSTEM=block ACTION=change DEVLINKS=/dev/disk/z /dev/disk/a " +
				"ID_FS=b ID_FS_LABEL=a SEQNUM=8 TAGS=:systemd: USEC_INITIALIZED=5",
			"block-device KERNEL=sda DEVPATH=/devices/x/block/sda DEVNAME=/dev/sda SUBSYSTEM=block DEVLINKS=/dev/disk/a /dev/disk/z ID_FS=b ID_FS_LABEL=a"},
		{"keys sort before what they begin", kernelGroup,
			fromKernel("remove@/devices/n", "ID2=b", "ID_A=c", "ID=a", "DEVPATH=/devices/n", "SUBSYSTEM=net", "ACTION=remove"),
			"net-device-removed KERNEL=n DEVPATH=/devices/n SUBSYSTEM=net ACTION=remove ID=a ID2=b ID_A=c",
			"net-device KERNEL=n DEVPATH=/devices/n SUBSYSTEM=net ID=a ID2=b ID_A=c"},
		{"of two values the last", kernelGroup, fromKernel("bind@/devices/n", "A=1", "A=2", "DEVPATH=/devices/n", "SUBSYSTEM=usb", "ACTION=bind"),
			"usb-device-bind KERNEL=n DEVPATH=/devices/n SUBSYSTEM=usb ACTION=bind A=2", "usb-device KERNEL=n DEVPATH=/devices/n SUBSYSTEM=usb A=2"},
		{"a name with a slash", kernelGroup, fromKernel("online@/devices/c!d0", "DEVPATH=/devices/c!d0", "SUBSYSTEM=block", "ACTION=online", "DEVNAME=c/d0"),
			"block-device-online KERNEL=c/d0 DEVPATH=/devices/c!d0 DEVNAME=/dev/c/d0 SUBSYSTEM=block ACTION=online",
			"block-device KERNEL=c/d0 DEVPATH=/devices/c!d0 DEVNAME=/dev/c/d0 SUBSYSTEM=block"},
		{"what is not printable", kernelGroup, fromKernel("add@/devices/n", "DEVPATH=/devices/n\x01", "SUBSYSTEM=u\x7fsb", "ACTION=add", "M\xc3ODEL=a\nb\tc\xff d", "\x02=x", "=y", "z"),
			"usb-device-added KERNEL=n DEVPATH=/devices/n SUBSYSTEM=usb ACTION=add MODEL=ab\tc d", "usb-device KERNEL=n DEVPATH=/devices/n SUBSYSTEM=usb MODEL=ab\tc d"},
		{"no action", kernelGroup, fromKernel("add@/devices/n", "DEVPATH=/devices/n", "SUBSYSTEM=usb"), "", ""},
		{"no subsystem", kernelGroup, fromKernel("add@/devices/n", "DEVPATH=/devices/n", "ACTION=add"), "", ""},
		{"no path", kernelGroup, fromKernel("add@/devices/n", "SUBSYSTEM=usb", "ACTION=add"), "", ""},
		{"no head", kernelGroup, []byte("ACTION=add\x00DEVPATH=/devices/n\x00SUBSYSTEM=usb\x00"), "", ""},
		{"nothing", kernelGroup, nil, "", ""},
		{"nothing of udevd", udevGroup, nil, "", ""},
		{"the kernel's, in udevd's group", udevGroup, fromKernel("add@/devices/n", "ACTION=add", "DEVPATH=/devices/n", "SUBSYSTEM=usb"), "", ""},
	} {
		u, ok := read(c.group, c.data)
		if !ok {
			if c.event != "" {
				t.Errorf("%s: not read", c.what)
			}
			continue
		}
		e, f := u.event(true), factOf(u.lasting(), true)
		if got := strings.Join(append([]string{e.Name}, e.Env...), " "); got != c.event {
			t.Errorf("%s: event\n%s, want\n%s", c.what, got, c.event)
		}
		if got := strings.Join(append([]string{f.Name}, f.Env...), " "); got != c.fact {
			t.Errorf("%s: fact\n%s, want\n%s", c.what, got, c.fact)
		}
	}
}

func TestNoStrip(t *testing.T) {
	u, _ := read(kernelGroup, fromKernel("add@/devices/n", "DEVPATH=/devices/n", "SUBSYSTEM=usb", "ACTION=add", "MODEL=ä\n"))
	if env := u.event(false).Env; !slices.Contains(env, "MODEL=ä\n") {
		t.Errorf("%q", env)
	}
}

func TestHeadersThatLie(t *testing.T) {
	good := fromUdevd("ACTION=add", "DEVPATH=/devices/n", "SUBSYSTEM=usb")
	if _, ok := read(udevGroup, good); !ok {
		t.Fatal("the message is not read")
	}
	for what, change := range map[string]func(b []byte) []byte{
		"prefix":        func(b []byte) []byte { b[0] = 'L'; return b },
		"magic":         func(b []byte) []byte { b[8] = 0; return b },
		"offset before": func(b []byte) []byte { b[udevOffsetAt] = 8; return b },
		"offset behind": func(b []byte) []byte { b[udevOffsetAt+3] = 0x7f; return b },
		"length":        func(b []byte) []byte { b[udevLengthAt]++; return b },
		"huge":          func(b []byte) []byte { copy(b[udevOffsetAt:], "\xff\xff\xff\xff\xff\xff\xff\xff"); return b },
		"truncated":     func(b []byte) []byte { return b[:len(b)-1] },
		"header alone":  func(b []byte) []byte { return b[:udevHeader-1] },
	} {
		if u, ok := read(udevGroup, change(slices.Clone(good))); ok {
			t.Errorf("%s: read %+v", what, u)
		}
	}
}

func FuzzMessage(f *testing.F) {
	vars := []string{"ACTION=add", "DEVPATH=/devices/n", "SUBSYSTEM=usb", "DEVNAME=n", "DEVLINKS=b a", "SEQNUM=5"}
	f.Add(true, fromUdevd(vars...))
	f.Add(false, fromKernel("add@/devices/n", vars...))
	f.Add(false, []byte("@/"))
	f.Fuzz(func(t *testing.T, udevd bool, data []byte) {
		g := kernelGroup
		if udevd {
			g = udevGroup
		}
		vars, ok := g.properties(data)
		if !ok {
			return
		}
		u, ok := parse(vars)
		if !ok {
			return
		}
		if got := string(subsystemOf(vars)); got != u.subsystem {
			t.Errorf("subsystem %q and %q", got, u.subsystem)
		}
		for _, list := range [][]string{u.event(true).Env, factOf(u.lasting(), true).Env} {
			for _, v := range list {
				if key(v) == "" || strings.ContainsFunc(v, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }) {
					t.Errorf("%q among %q", v, list)
				}
			}
		}
	})
}

func BenchmarkParseUevent(b *testing.B) {
	data := fromUdevd("ACTION=add", "DEVPATH=/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda", "SUBSYSTEM=block",
		"DEVNAME=/dev/sda", "DEVTYPE=disk", "DISKSEQ=1", "MAJOR=8", "MINOR=0", "SEQNUM=123456", "USEC_INITIALIZED=1234567",
		"ID_ATA=1", "ID_TYPE=disk", "ID_BUS=ata", "ID_MODEL=QEMU_HARDDISK", "ID_SERIAL=QEMU_HARDDISK_QM00001", "ID_REVISION=2.5+",
		"ID_PATH=pci-0000:00:1f.2-ata-1", "ID_PATH_TAG=pci-0000_00_1f_2-ata-1", "ID_PART_TABLE_TYPE=gpt",
		"DEVLINKS=/dev/disk/by-id/ata-QEMU_HARDDISK_QM00001 /dev/disk/by-path/pci-0000:00:1f.2-ata-1", "TAGS=:systemd:", "CURRENT_TAGS=:systemd:")
	b.ReportAllocs()
	for b.Loop() {
		u, ok := read(udevGroup, data)
		if e := u.event(true); !ok || len(e.Env) != 23 {
			b.Fatal(len(e.Env))
		}
	}
}
