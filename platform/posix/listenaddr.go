package posix

import (
	"net/netip"
	"strconv"
	"strings"
)

// ListenAddress is where expect listen wants a process to listen. The zero
// value is anywhere.
type ListenAddress struct {
	unix string // path, or @NAME
	ip   netip.Addr
	port uint16 // 0: with neither of the others, any
}

// ParseListenAddress reads HOST:PORT, where HOST may be left out or "*", an
// absolute path, or @NAME of an abstract socket. Of anything else ok is false, and
// of nothing it is anywhere.
func ParseListenAddress(s string) (a ListenAddress, ok bool) {
	if s == "" || s[0] == '/' || s[0] == '@' {
		return ListenAddress{unix: s}, true
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
		return ListenAddress{}, false
	}
	a.ip = ip.Unmap()
	return a, true
}

// Limited reports whether it matters where.
func (a ListenAddress) Limited() bool { return a != ListenAddress{} }

// Named reports whether it is that of a bound unix socket.
func (a ListenAddress) Named(name string) bool { return a.unix != "" && name == a.unix }

// Takes reports whether a socket of that address and port takes what comes to
// this one: one bound to all addresses of a host takes what comes to one. only
// says that one for all takes no other family.
func (a ListenAddress) Takes(bound netip.Addr, port int, only bool) bool {
	if a.unix != "" || port != int(a.port) {
		return false
	}
	return !a.ip.IsValid() || bound == a.ip.WithZone("") || bound.IsUnspecified() && (bound.Is4() == a.ip.Is4() || !only)
}
