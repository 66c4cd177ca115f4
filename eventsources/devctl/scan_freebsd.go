package devctl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// scan looks at what exists.
func scan() (*snapshot, error) {
	s := &snapshot{}
	var err error
	if s.devices, err = attachedDevices(); err != nil {
		return nil, fmt.Errorf("cannot list the devices: %w", err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("cannot list the network interfaces: %w", err)
	}
	for _, i := range interfaces {
		s.interfaces = append(s.interfaces, i.Name)
	}
	if s.providers, err = providers(); err != nil {
		return nil, fmt.Errorf("cannot list the providers of GEOM: %w", err)
	}
	s.nodes = deviceNodes(nil, "")
	if line, err := unix.SysctlUint32("hw.acpi.acline"); err == nil {
		s.ac = off
		if line == 1 {
			s.ac = on
		}
	}
	return s, nil
}

// Of <sys/bus.h>: struct u_businfo, and struct u_device on LP64.
const (
	busVersion    = 2
	stateOffset   = 24
	fieldsOffset  = 28
	stateAttached = 30
)

// attachedDevices returns the devices that have a driver, parents first.
func attachedDevices() ([]attached, error) {
	for range 100 {
		info, err := unix.SysctlRaw("hw.bus.info")
		if err != nil {
			return nil, err
		}
		if len(info) < 8 || binary.NativeEndian.Uint32(info) != busVersion {
			return nil, fmt.Errorf("hw.bus.info: unknown version in %x", info)
		}
		list, err := devicesOf(int(int32(binary.NativeEndian.Uint32(info[4:]))))
		if err != unix.EINVAL { // else the list has changed
			return list, err
		}
	}
	return nil, unix.EBUSY
}

// devicesOf reads the list of one generation.
func devicesOf(generation int) ([]attached, error) {
	names := map[uint64]string{}
	var list []attached
	var parents []uint64
	for i := 0; ; i++ {
		b, err := unix.SysctlRaw("hw.bus.devices", generation, i)
		if err == unix.ENOENT {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(b) <= fieldsOffset {
			return nil, fmt.Errorf("hw.bus.devices: %d bytes", len(b))
		}
		fields := strings.Split(string(b[fieldsOffset:]), "\x00") // name, description, driver, pnp, location
		if len(fields) < 5 || fields[0] == "" {
			continue
		}
		names[binary.NativeEndian.Uint64(b)] = fields[0]
		if binary.NativeEndian.Uint32(b[stateOffset:]) >= stateAttached {
			list = append(list, attached{name: fields[0], pnp: fields[3], location: fields[4]})
			parents = append(parents, binary.NativeEndian.Uint64(b[8:]))
		}
	}
	for i := range list {
		list[i].parent = names[parents[i]]
	}
	return list, nil
}

// providers returns the classes of all that GEOM provides, by name.
func providers() (map[string]string, error) {
	text, err := unix.SysctlRaw("kern.geom.conftxt")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for line := range strings.Lines(string(bytes.TrimRight(text, "\x00"))) {
		if words := strings.Fields(line); len(words) >= 3 { // depth, class, name
			all[words[2]] = words[1]
		}
	}
	return all, nil
}

func (kernel) class(provider string) string {
	all, err := providers()
	if err != nil {
		return ""
	}
	return all[provider]
}

// deviceNodes appends the names of the devices in a folder of /dev. What goes
// meanwhile is left out.
func deviceNodes(names []string, dir string) []string {
	entries, err := os.ReadDir("/dev/" + dir)
	if err != nil {
		return names
	}
	for _, e := range entries {
		switch name := dir + e.Name(); {
		case e.IsDir() && name != "fd" && name != "pts":
			names = deviceNodes(names, name+"/")
		case e.Type()&os.ModeDevice != 0, strings.HasPrefix(name, "ugen"): // those are links
			names = append(names, name)
		}
	}
	return names
}
