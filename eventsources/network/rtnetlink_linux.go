package network

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// linkStates are the words for IFLA_OPERSTATE, as in sysfs.
var linkStates = []string{"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"}

// attributes returns those of a message of which the fixed part has a size.
func attributes(m *syscall.NetlinkMessage, size int) ([]syscall.NetlinkRouteAttr, error) {
	if len(m.Data) < size {
		return nil, errShort
	}
	padded := *m // the parser steps to the end of the last one's padding
	for len(padded.Data)%unix.NLA_ALIGNTO != 0 {
		padded.Data = append(slices.Clip(padded.Data), 0)
	}
	return syscall.ParseNetlinkRouteAttr(&padded)
}

// parseLink reads RTM_NEWLINK and RTM_DELLINK. Messages of bridges about their
// ports are not about links, and ok is false.
func parseLink(m *syscall.NetlinkMessage) (l linkChange, ok bool, err error) {
	attrs, err := attributes(m, unix.SizeofIfInfomsg)
	if err != nil || m.Data[0] != unix.AF_UNSPEC {
		return l, false, err
	}
	flags := binary.NativeEndian.Uint32(m.Data[8:])
	l.index = int(int32(binary.NativeEndian.Uint32(m.Data[4:])))
	l.gone = m.Header.Type == unix.RTM_DELLINK
	l.up = flags&(unix.IFF_UP|unix.IFF_RUNNING) == unix.IFF_UP|unix.IFF_RUNNING
	l.loopback = flags&unix.IFF_LOOPBACK != 0
	for _, a := range attrs {
		switch v := a.Value; a.Attr.Type {
		case unix.IFLA_IFNAME:
			name, _, _ := strings.Cut(string(v), "\x00")
			l.name = printable(name)
		case unix.IFLA_OPERSTATE:
			if len(v) > 0 {
				l.state = word(linkStates, uint32(v[0]))
			}
		case unix.IFLA_ADDRESS:
			if strings.Trim(string(v), "\x00") != "" {
				l.address = net.HardwareAddr(v).String()
			}
		}
	}
	return l, l.name != "" || l.gone, nil
}

// unusable are flags of addresses that another machine has, or may have.
const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED

// parseAddress reads RTM_NEWADDR; ok is false for one without global scope.
func parseAddress(m *syscall.NetlinkMessage) (a address, ok bool, err error) {
	attrs, err := attributes(m, unix.SizeofIfAddrmsg)
	if err != nil {
		return a, false, err
	}
	flags, scope := uint32(m.Data[2]), m.Data[3]
	a.index = int(int32(binary.NativeEndian.Uint32(m.Data[4:])))
	a.v6 = m.Data[0] == unix.AF_INET6
	global := false
	for _, attr := range attrs {
		switch attr.Attr.Type {
		case unix.IFA_FLAGS:
			if len(attr.Value) >= 4 {
				flags = binary.NativeEndian.Uint32(attr.Value)
			}
		case unix.IFA_ADDRESS, unix.IFA_LOCAL:
			ip, _ := netip.AddrFromSlice(attr.Value)
			global = ip.IsGlobalUnicast()
		}
	}
	optimistic := flags&unix.IFA_F_OPTIMISTIC != 0 && flags&unix.IFA_F_DADFAILED == 0
	return a, global && scope == unix.RT_SCOPE_UNIVERSE && (flags&unusable == 0 || optimistic), nil
}

// isDefault reports whether RTM_NEWROUTE or RTM_DELROUTE is about a default
// route that leads somewhere.
func isDefault(m *syscall.NetlinkMessage) bool {
	return len(m.Data) >= unix.SizeofRtMsg && m.Data[1] == 0 && m.Data[7] == unix.RTN_UNICAST &&
		(m.Data[0] == unix.AF_INET || m.Data[0] == unix.AF_INET6)
}

// parseRoute reads a default route: one way for each next hop, none if it is
// not in the main table.
func parseRoute(m *syscall.NetlinkMessage) (ways []way, err error) {
	attrs, err := attributes(m, unix.SizeofRtMsg)
	if err != nil {
		return nil, err
	}
	table, metric, v6 := uint32(m.Data[4]), uint32(0), m.Data[0] == unix.AF_INET6
	add := func(index uint32) { ways = append(ways, way{index: int(int32(index)), v6: v6}) }
	for _, a := range attrs {
		if a.Attr.Type == unix.RTA_MULTIPATH {
			for v := a.Value; len(v) >= unix.SizeofRtNexthop; {
				length := int(binary.NativeEndian.Uint16(v))
				if length < unix.SizeofRtNexthop || length > len(v) {
					return nil, errShort
				}
				add(binary.NativeEndian.Uint32(v[4:]))
				v = v[min((length+3)&^3, len(v)):]
			}
			continue
		}
		if len(a.Value) < 4 {
			continue
		}
		switch n := binary.NativeEndian.Uint32(a.Value); a.Attr.Type {
		case unix.RTA_TABLE:
			table = n
		case unix.RTA_PRIORITY:
			metric = n
		case unix.RTA_OIF:
			add(n)
		}
	}
	if table != unix.RT_TABLE_MAIN {
		return nil, nil
	}
	for i := range ways {
		ways[i].metric = metric
	}
	return ways, nil
}
