package devctl

import (
	"strings"

	"onset/eventsources"
)

// device is something that exists, for which a fact holds.
type device struct {
	subsystem string // as udev has it where there is a counterpart
	kernel    string // the kernel's name for it
	path      string // where it is in the tree of devices
	node      string // below /dev; empty without
	more      []string
}

// key tells devices apart.
func (d *device) key() string { return d.subsystem + " " + d.kernel }

// env is the environment in the order of UPSTART §9.1; action is empty in that
// of a fact.
func (d *device) env(action string) []string {
	env := make([]string, 0, 5+len(d.more))
	for _, v := range []variable{{"KERNEL", d.kernel}, {"DEVPATH", d.path}, {"DEVNAME", d.node}, {"SUBSYSTEM", d.subsystem}, {"ACTION", action}} {
		if v.key == "DEVNAME" && v.value != "" {
			v.value = "/dev/" + v.value
		}
		if v.value != "" {
			env = append(env, v.key+"="+eventsources.Printable(v.value))
		}
	}
	return append(env, d.more...)
}

// verbs are what actions are called in names of events.
var verbs = map[string]string{"add": "added", "remove": "removed", "change": "changed", "nomatch": "nomatch"}

// event is what happened to it; more is said of this event only.
func (d *device) event(action string, more ...string) eventsources.Event {
	return eventsources.Event{Name: eventsources.Printable(d.subsystem) + "-device-" + verbs[action], Env: append(d.env(action), more...)}
}

func (d *device) fact() eventsources.Fact {
	return eventsources.Fact{Name: eventsources.Printable(d.subsystem) + "-device", Env: d.env("")}
}

// buses are the drivers of buses that udev has another name for.
var buses = map[string]string{
	"atkbdc": "serio", "iicbus": "i2c", "miibus": "mdio_bus",
	"nexus": "platform", "ofwbus": "platform", "root": "platform", "simplebus": "platform",
	"uhub": "usb", "usbus": "usb", "virtio_mmio": "virtio", "virtio_pci": "virtio", "vtpci": "virtio",
}

// nodes are the devices below /dev that udev has a subsystem for, by how their
// names begin. Those of pseudo terminals are left out: anybody makes them.
var nodes = []struct{ prefix, subsystem string }{
	{"pts/", ""}, {"pty", ""},
	{"tty", "tty"}, {"cua", "tty"},
	{"input/", "input"}, {"dri/", "drm"}, {"drm/", "drm"},
	{"dsp", "sound"}, {"mixer", "sound"}, {"midi", "sound"},
	{"ugen", ""}, {"usb/", ""}, // "USB" records tell of them
}

// nodeSubsystem is that of a name below /dev; empty if it has no part in this.
func nodeSubsystem(name string) string {
	if strings.HasSuffix(name, ".init") || strings.HasSuffix(name, ".lock") { // settings of a tty
		return ""
	}
	for _, n := range nodes {
		if strings.HasPrefix(name, n.prefix) {
			return n.subsystem
		}
	}
	return "cdev"
}

func unitless(name string) string { return strings.TrimRight(name, "0123456789") }

// tree knows where devices are attached.
type tree map[string]string // device: parent

// path returns the way to a device. A loop, which the kernel does not make,
// ends it.
func (t tree) path(name string) string {
	path := ""
	for range 64 {
		if name == "" || name == "." {
			break
		}
		path, name = "/"+name+path, t[name]
	}
	return path
}

// attached is a device of the tree. What its bus says of it is in vars.
func (t tree) attached(name, parent string, said record) *device {
	subsystem := unitless(parent)
	if other := buses[subsystem]; other != "" {
		subsystem = other
	}
	if subsystem == "" || subsystem == "." {
		subsystem = "platform"
	}
	path := t.path(parent)
	if name != "" {
		path += "/" + name
	}
	d := &device{subsystem: subsystem, kernel: name, path: path}
	if name != "" {
		d.more = append(d.more, "DRIVER="+eventsources.Printable(unitless(name)))
	}
	d.more = append(d.more, said.env()...)
	return d
}

// network is a network interface.
func (t tree) network(name string) *device {
	path := "/net/" + name
	if t[name] != "" {
		path = t.path(name) + path
	}
	return &device{subsystem: "net", kernel: name, path: path, more: []string{"INTERFACE=" + eventsources.Printable(name)}}
}

// node is a device of /dev; nil if it has no part in this.
func node(name string) *device {
	subsystem := nodeSubsystem(name)
	if subsystem == "" {
		return nil
	}
	return &device{subsystem: subsystem, kernel: name, path: "/" + subsystem + "/" + name, node: name}
}

// disk is what GEOM provides, of a class of GEOM; empty if it is not known.
func disk(name, class string) *device {
	d := &device{subsystem: "block", kernel: name, path: "/block/" + name, node: name}
	switch class {
	case "":
	case "PART":
		d.more = []string{"DEVTYPE=partition"}
	case "DISK", "MD":
		d.more = []string{"DEVTYPE=disk"}
	default:
		d.more = []string{"DEVTYPE=" + eventsources.Printable(strings.ToLower(class))}
	}
	return d
}

// usb is a device on a USB, by the name of its generic driver.
func usb(name string) *device {
	return &device{subsystem: "usb", kernel: name, path: "/usb/" + name, node: name, more: []string{"DEVTYPE=usb_device"}}
}
