package udev

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"path"
	"slices"
	"strconv"
	"strings"

	"onset/eventsources"
)

// group is a multicast group of NETLINK_KOBJECT_UEVENT.
type group uint32

const (
	kernelGroup group = 1
	udevGroup   group = 2
)

// Of the header of udevd's messages, which is in the order of the machine but
// for the magic number (libudev, "struct monitor_netlink_header").
const (
	udevPrefix   = "libudev\x00"
	udevMagic    = 0xfeedcafe // big endian, at 8
	udevOffsetAt = 16         // of the properties
	udevLengthAt = 20
	udevHeader   = 40 // bytes, at least
)

// properties returns the variables in a datagram, each KEY=VALUE and ended by a
// NUL. It is false for what is no message of the group.
func (g group) properties(data []byte) ([]byte, bool) {
	if g == kernelGroup { // "ACTION@DEVPATH", NUL
		head, vars, ok := bytes.Cut(data, []byte{0})
		return vars, ok && bytes.Contains(head, []byte("@/"))
	}
	if len(data) < udevHeader || string(data[:8]) != udevPrefix || binary.BigEndian.Uint32(data[8:]) != udevMagic {
		return nil, false
	}
	offset := uint64(binary.NativeEndian.Uint32(data[udevOffsetAt:]))
	length := uint64(binary.NativeEndian.Uint32(data[udevLengthAt:]))
	if offset < udevHeader || offset+length > uint64(len(data)) {
		return nil, false
	}
	return data[offset : offset+length], true
}

// subsystemOf returns the subsystem among variables, without taking memory.
func subsystemOf(vars []byte) (subsystem []byte) {
	for len(vars) > 0 {
		v := vars
		if i := bytes.IndexByte(vars, 0); i >= 0 {
			v, vars = vars[:i], vars[i+1:]
		} else {
			vars = nil
		}
		if rest, ok := bytes.CutPrefix(v, []byte("SUBSYSTEM=")); ok {
			subsystem = rest
		}
	}
	return subsystem
}

// uevent is what is said of a device.
type uevent struct {
	action    string // empty for what was found
	path      string // DEVPATH
	subsystem string
	seq       uint64   // SEQNUM; 0 without
	vars      []string // KEY=VALUE, all of them, sorted by key, each key once
}

// parse reads the variables of a message. It is false where they do not name a
// device and what happened to it.
func parse(vars []byte) (u uevent, ok bool) {
	list := make([]string, 0, bytes.Count(vars, []byte{0})+1)
	for text := string(vars); text != ""; {
		var v string
		v, text, _ = strings.Cut(text, "\x00")
		list = append(list, v)
	}
	u.set(list)
	u.action, u.path, u.subsystem = u.get("ACTION"), u.get("DEVPATH"), u.get("SUBSYSTEM")
	u.seq, _ = strconv.ParseUint(u.get("SEQNUM"), 10, 64)
	return u, u.action != "" && u.subsystem != "" && strings.HasPrefix(u.path, "/")
}

// lasting returns what holds beyond a message as one string, which takes half
// the memory: 2,000 devices are known to a bridge.
func (u *uevent) lasting() string {
	var b strings.Builder
	for _, v := range u.vars {
		switch k := key(v); {
		case passing(k):
			continue
		case k == "DEVLINKS":
			words := strings.FieldsFunc(v[len("DEVLINKS="):], func(r rune) bool { return r == ' ' })
			slices.Sort(words)
			v = "DEVLINKS=" + strings.Join(words, " ")
		}
		if b.Len() > 0 {
			b.WriteByte(0)
		}
		b.WriteString(v)
	}
	return b.String()
}

// lasted is the reverse of lasting.
func lasted(text string) uevent {
	u := uevent{vars: strings.Split(text, "\x00")}
	u.path, u.subsystem = u.get("DEVPATH"), u.get("SUBSYSTEM")
	return u
}

// key returns what is before the "="; empty without.
func key(v string) string { return v[:max(0, strings.IndexByte(v, '='))] }

func compareKeys(a, b string) int { return cmp.Compare(key(a), key(b)) }

// set makes these the variables; of two with the same key the last counts.
func (u *uevent) set(list []string) {
	list = slices.DeleteFunc(list, func(v string) bool { return key(v) == "" })
	slices.SortStableFunc(list, compareKeys)
	u.vars = list[:0]
	for i, v := range list {
		if i+1 < len(list) && key(v) == key(list[i+1]) {
			continue
		}
		if name, ok := strings.CutPrefix(v, "DEVNAME="); ok && !strings.HasPrefix(name, "/") {
			v = "DEVNAME=/dev/" + name
		}
		u.vars = append(u.vars, v)
	}
}

// find returns a variable with its name; empty without.
func (u *uevent) find(name string) string {
	i, ok := slices.BinarySearchFunc(u.vars, name, func(v, name string) int { return cmp.Compare(key(v), name) })
	if !ok {
		return ""
	}
	return u.vars[i]
}

// get returns the value of a variable; empty without.
func (u *uevent) get(name string) string {
	v := u.find(name)
	return v[min(len(v), len(name)+1):]
}

// kernel is the name of the device; a "/" in it is a "!" in its path.
func (u *uevent) kernel() string { return strings.ReplaceAll(path.Base(u.path), "!", "/") }

// env is an environment in the order of UPSTART §9.1.
func (u *uevent) env(strip bool) []string {
	env := make([]string, 0, len(u.vars)+2)
	add := func(v string) {
		if strip {
			v = eventsources.Printable(v)
		}
		if key(v) != "" {
			env = append(env, v)
		}
	}
	add("KERNEL=" + u.kernel())
	add(u.find("DEVPATH"))
	add(u.find("DEVNAME"))
	add(u.find("SUBSYSTEM"))
	if u.action != "" {
		add("ACTION=" + u.action)
	}
	for _, v := range u.vars {
		switch key(v) {
		case "DEVPATH", "DEVNAME", "SUBSYSTEM", "ACTION":
		case "UDEV_DATABASE_VERSION": // of the message; libudev does not list it
		default:
			add(v)
		}
	}
	return env
}

// passing reports whether a variable is of an event and not of the device, or
// differs between udevd's message and its file.
func passing(key string) bool {
	switch key {
	case "ACTION", "SEQNUM", "USEC_INITIALIZED", "TAGS", "CURRENT_TAGS", "UDEV_DATABASE_VERSION", "DEVPATH_OLD",
		"DISK_MEDIA_CHANGE", "DISK_EJECT_REQUEST", "RESIZE":
		return true
	}
	return strings.HasPrefix(key, "SYNTH_")
}

// event is the one that tells of it.
func (u *uevent) event(strip bool) eventsources.Event {
	name := u.subsystem + eventInfix + verb(u.action)
	return eventsources.Event{Name: eventsources.Printable(name), Env: u.env(strip)}
}

// factOf is the one that holds while a device is there, of which this lasts.
func factOf(text string, strip bool) eventsources.Fact {
	u := lasted(text)
	return eventsources.Fact{Name: eventsources.Printable(u.subsystem + factSuffix), Env: u.env(strip)}
}
