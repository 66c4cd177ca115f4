package network

import (
	"encoding/binary"
	"net"
	"net/netip"
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

	ifaHeadSize = 0x14

	rtIndexOffset = 4
	rtFlagsOffset = 8
	rtAddrsOffset = 12
	rtHeadSize    = 0x98
)

// Of <net/route.h>, <net/if.h> and <sys/socket.h>. They are here, and not in a
// file for FreeBSD, so that the reader is tried everywhere.
const (
	rtmVersion = 5

	rtmAdd, rtmDelete, rtmChange            = 0x1, 0x2, 0x3
	rtmNewAddr, rtmDelAddr                  = 0xc, 0xd
	rtmIfInfo, rtmIfAnnounce                = 0xe, 0x11
	rtaxDst, rtaxNetmask, rtaxIfp, rtaxIfa  = 0, 2, 4, 5
	rtaxMax                                 = 8
	rtfUp, rtfHost, rtfReject, rtfBlackhole = 0x1, 0x4, 0x8, 0x1000
	iffUp, iffLoopback, iffRunning          = 0x1, 0x8, 0x40
	afInet, afLink, afInet6                 = 2, 18, 28
)

// routingStates are the words for LINK_STATE_ of <net/if.h>.
var routingStates = []string{"unknown", "down", "up"}

const linkDown = 1

// routingMessages returns what a buffer has, each at least as long as the head that
// all have.
func routingMessages(b []byte) (list [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < ifDataOffset {
			return list, errShort
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < ifDataOffset || n > len(b) {
			return list, errShort
		}
		if b[versionOffset] == rtmVersion {
			list = append(list, b[:n])
		}
		b = b[n:]
	}
	return list, nil
}

// sockaddrs returns the addresses after a head, by RTAX_ number.
func sockaddrs(b []byte, which uint32) (list [rtaxMax][]byte, err error) {
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

// parseIfInfo reads RTM_IFINFO. The name and address are there in lists only.
func parseIfInfo(m []byte) (l linkChange, err error) {
	if len(m) <= dataLengthAt+1 {
		return l, errShort
	}
	flags := binary.NativeEndian.Uint32(m[ifFlagsOffset:])
	l.index = int(binary.NativeEndian.Uint16(m[ifIndexOffset:]))
	l.up = flags&(iffUp|iffRunning) == iffUp|iffRunning && m[linkStateAt] != linkDown
	l.loopback = flags&iffLoopback != 0
	l.state = word(routingStates, uint32(m[linkStateAt]))
	if flags&iffUp == 0 {
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
	if a := addrs[rtaxIfp]; len(a) >= 8 && a[1] == afLink {
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

// parseNewAddr reads RTM_NEWADDR; ok is false for one without global scope.
func parseNewAddr(m []byte) (a address, ok bool, err error) {
	if len(m) < ifaHeadSize {
		return a, false, errShort
	}
	addrs, err := sockaddrs(m[ifaHeadSize:], binary.NativeEndian.Uint32(m[ifAddrsOffset:]))
	sa := addrs[rtaxIfa]
	if err != nil || len(sa) < 2 || sa[1] != afInet && sa[1] != afInet6 {
		return a, false, err
	}
	a.index = int(binary.NativeEndian.Uint16(m[ifIndexOffset:]))
	a.v6 = sa[1] == afInet6
	return a, addressOf(sa, a.v6).IsGlobalUnicast(), nil
}

// parseGet reads a route of a list; ok is false if it is not a default route
// that leads somewhere.
func parseGet(m []byte) (w way, ok bool, err error) {
	if len(m) < rtHeadSize {
		return w, false, errShort
	}
	flags := binary.NativeEndian.Uint32(m[rtFlagsOffset:])
	if flags&rtfUp == 0 || flags&(rtfHost|rtfReject|rtfBlackhole) != 0 {
		return w, false, nil
	}
	addrs, err := sockaddrs(m[rtHeadSize:], binary.NativeEndian.Uint32(m[rtAddrsOffset:]))
	to := addrs[rtaxDst]
	if err != nil || len(to) < 2 || to[1] != afInet && to[1] != afInet6 {
		return w, false, err
	}
	w.index = int(binary.NativeEndian.Uint16(m[rtIndexOffset:]))
	w.v6 = to[1] == afInet6
	return w, addressOf(to, w.v6).IsUnspecified() && addressOf(addrs[rtaxNetmask], w.v6).IsUnspecified(), nil
}
