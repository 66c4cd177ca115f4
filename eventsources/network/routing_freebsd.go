package network

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Offsets in messages of route(4) on LP64: where they agree, of struct
// if_msghdr, ifa_msghdr and rt_msghdr. The kernel pads addresses to 8 bytes.
const (
	versionOffset = 2
	typeOffset    = 3

	ifAddrsOffset = 4
	ifFlagsOffset = 8
	ifIndexOffset = 12
	ifDataOffset  = 16
	linkStateAt   = ifDataOffset + 4 // u_char ifi_link_state
	dataLengthAt  = ifDataOffset + 6 // uint16 ifi_datalen

	rtIndexOffset = 4
	rtFlagsOffset = 8
	rtAddrsOffset = 12
)

// linkStates are the words for LINK_STATE_ of <net/if.h>.
var linkStates = []string{"unknown", "down", "up"}

const linkDown = 1

var errShort = errors.New("a message is too short")

// messages returns what a buffer has, each at least as long as the head that
// all have.
func messages(b []byte) (list [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < ifDataOffset {
			return list, errShort
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < ifDataOffset || n > len(b) {
			return list, errShort
		}
		if b[versionOffset] == unix.RTM_VERSION {
			list = append(list, b[:n])
		}
		b = b[n:]
	}
	return list, nil
}

// sockaddrs returns the addresses after a head, by RTAX_ number.
func sockaddrs(b []byte, which uint32) (list [unix.RTAX_MAX][]byte, err error) {
	for i := range list {
		if which&(1<<i) == 0 {
			continue
		}
		if len(b) == 0 {
			return list, errShort
		}
		n := int(b[0])
		if n > len(b) {
			return list, errShort
		}
		list[i] = b[:n]
		b = b[min(max(8, (n+7)&^7), len(b)):]
	}
	return list, nil
}

// parseLink reads RTM_IFINFO. The name and address are there in lists only.
func parseLink(m []byte) (l linkChange, err error) {
	if len(m) <= dataLengthAt+1 {
		return l, errShort
	}
	flags := binary.NativeEndian.Uint32(m[ifFlagsOffset:])
	l.index = int(binary.NativeEndian.Uint16(m[ifIndexOffset:]))
	l.up = flags&(unix.IFF_UP|unix.IFF_DRV_RUNNING) == unix.IFF_UP|unix.IFF_DRV_RUNNING && m[linkStateAt] != linkDown
	l.loopback = flags&unix.IFF_LOOPBACK != 0
	l.state = word(linkStates, uint32(m[linkStateAt]))
	if flags&unix.IFF_UP == 0 {
		l.state = "down"
	}
	head := ifDataOffset + int(binary.NativeEndian.Uint16(m[dataLengthAt:]))
	if head > len(m) {
		return l, errShort
	}
	addrs, err := sockaddrs(m[head:], binary.NativeEndian.Uint32(m[ifAddrsOffset:]))
	if err != nil {
		return l, err
	}
	// struct sockaddr_dl: family 1, length of the name 5, of the address 6, both 8.
	if a := addrs[unix.RTAX_IFP]; len(a) >= 8 && a[1] == unix.AF_LINK {
		name, hardware := int(a[5]), int(a[6])
		if 8+name+hardware > len(a) {
			return l, errShort
		}
		l.name = printable(string(a[8 : 8+name]))
		l.address = net.HardwareAddr(a[8+name : 8+name+hardware]).String()
	}
	return l, nil
}

// addressOf returns the address in a struct sockaddr_in or sockaddr_in6, which
// may be cut off before its zeros, as netmasks are.
func addressOf(sa []byte, v6 bool) netip.Addr {
	var b [16]byte
	if v6 {
		copy(b[:], sa[min(8, len(sa)):])
		return netip.AddrFrom16(b)
	}
	copy(b[:4], sa[min(4, len(sa)):])
	return netip.AddrFrom4([4]byte(b[:4]))
}

// parseAddress reads RTM_NEWADDR; ok is false for one without global scope.
func parseAddress(m []byte) (a address, ok bool, err error) {
	if len(m) < unix.SizeofIfaMsghdr {
		return a, false, errShort
	}
	addrs, err := sockaddrs(m[unix.SizeofIfaMsghdr:], binary.NativeEndian.Uint32(m[ifAddrsOffset:]))
	sa := addrs[unix.RTAX_IFA]
	if err != nil || len(sa) < 2 || sa[1] != unix.AF_INET && sa[1] != unix.AF_INET6 {
		return a, false, err
	}
	a.index = int(binary.NativeEndian.Uint16(m[ifIndexOffset:]))
	a.v6 = sa[1] == unix.AF_INET6
	return a, addressOf(sa, a.v6).IsGlobalUnicast(), nil
}

// parseRoute reads a route of a list; ok is false if it is not a default route
// that leads somewhere.
func parseRoute(m []byte) (w way, ok bool, err error) {
	if len(m) < unix.SizeofRtMsghdr {
		return w, false, errShort
	}
	flags := binary.NativeEndian.Uint32(m[rtFlagsOffset:])
	if flags&unix.RTF_UP == 0 || flags&(unix.RTF_HOST|unix.RTF_REJECT|unix.RTF_BLACKHOLE) != 0 {
		return w, false, nil
	}
	addrs, err := sockaddrs(m[unix.SizeofRtMsghdr:], binary.NativeEndian.Uint32(m[rtAddrsOffset:]))
	to := addrs[unix.RTAX_DST]
	if err != nil || len(to) < 2 || to[1] != unix.AF_INET && to[1] != unix.AF_INET6 {
		return w, false, err
	}
	w.index = int(binary.NativeEndian.Uint16(m[rtIndexOffset:]))
	w.v6 = to[1] == unix.AF_INET6
	return w, addressOf(to, w.v6).IsUnspecified() && addressOf(addrs[unix.RTAX_NETMASK], w.v6).IsUnspecified(), nil
}
