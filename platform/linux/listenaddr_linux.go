package linux

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listenAddress is where expect listen wants a process to listen. The zero
// value is anywhere.
type listenAddress struct {
	unix string // path, or @NAME
	ip   netip.Addr
	port uint16 // 0: with neither of the others, any
}

// parseListenAddress reads HOST:PORT, where HOST may be left out or "*", an
// absolute path, or @NAME of an abstract socket. Of anything else ok is false, and
// of nothing it is anywhere.
func parseListenAddress(s string) (a listenAddress, ok bool) {
	if s == "" || s[0] == '/' || s[0] == '@' {
		return listenAddress{unix: s}, true
	}
	colon := strings.LastIndexByte(s, ':')
	host, port := s[:max(colon, 0)], s[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return a, false
	}
	a.port = uint16(n)
	if host == "" || host == "*" {
		return a, true
	}
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return listenAddress{}, false
	}
	a.ip = ip.Unmap()
	return a, true
}

// limited reports whether it matters where.
func (a listenAddress) limited() bool { return a != listenAddress{} }

// matches reports whether the socket is bound so that it takes what comes to
// the address: one bound to all addresses of a host takes what comes to one.
func (a listenAddress) matches(socket int) bool {
	if !a.limited() {
		return true
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		return false
	}
	switch name := name.(type) {
	case *unix.SockaddrUnix:
		return a.unix != "" && name.Name == a.unix
	case *unix.SockaddrInet4:
		return a.takes(netip.AddrFrom4(name.Addr), name.Port, true)
	case *unix.SockaddrInet6:
		only, err := unix.GetsockoptInt(socket, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		return a.takes(netip.AddrFrom16(name.Addr).Unmap(), name.Port, err == nil && only != 0)
	}
	return false
}

// takes says that of a bound address; only, that one for all takes no other
// family.
func (a listenAddress) takes(bound netip.Addr, port int, only bool) bool {
	if a.unix != "" || port != int(a.port) {
		return false
	}
	return !a.ip.IsValid() || bound == a.ip.WithZone("") || bound.IsUnspecified() && (bound.Is4() == a.ip.Is4() || !only)
}
