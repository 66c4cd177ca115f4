package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// spec is a socket as an operand asks for it.
type spec struct {
	proto  string // inet, inet6, unix, vsock, netlink or fifo
	kind   int    // SOCK_STREAM and the like
	port   uint32
	addr   netip.Addr // inet and inet6; of any interface if not valid
	cid    uint32     // vsock
	family int        // netlink: number of the protocol
	group  int        // netlink: multicast group; 0: none
	path   string     // unix and fifo; with @ first: an abstract name

	mode         fs.FileMode
	user, owners string // owner and group of the path; empty: our own

	backlog  int
	accept   bool
	maxConn  int // connections at a time, with accept
	reuse    bool
	freebind bool
	nodelay  bool
	dual     bool // inet6: IPv4 too
	device   string

	env []string // of its event and its fact
}

// Defaults.
const (
	anyBacklog     = 1 << 15 // the kernel makes it what it allows
	defaultMode    = 0o666   // as systemd's SocketMode=
	defaultMaxConn = 64      // as systemd's MaxConnections=
	anyCID         = math.MaxUint32
)

// key is a word of an operand. Words of Upstart's may be cut short, as its
// bridge compared no more than what was written.
type key struct {
	name    string
	protos  string // those that have it; empty: all
	upstart bool
	set     func(s *spec, value string) bool // false: not valid
}

var keys = []key{
	{"PROTO", "", true, func(s *spec, v string) bool { return s.proto == v }}, // set before all others
	{"PORT", "inet inet6", true, func(s *spec, v string) bool { return number(&s.port, v, 1, math.MaxUint16) }},
	{"ADDR", "inet inet6", true, (*spec).setAddr},
	{"PATH", "unix fifo", true, (*spec).setPath},
	{"SOCKET_PATH", "unix", false, (*spec).setPath},
	{"TYPE", "inet inet6 unix vsock", false, (*spec).setType},
	{"PORT", "vsock", false, func(s *spec, v string) bool { return number(&s.port, v, 0, math.MaxUint32-1) }},
	{"CID", "vsock", false, func(s *spec, v string) bool { return number(&s.cid, v, 0, math.MaxUint32) }},
	{"FAMILY", "netlink", false, (*spec).setFamily},
	{"GROUP", "netlink", false, func(s *spec, v string) bool { return number(&s.group, v, 0, math.MaxInt32) }},
	{"MODE", "unix fifo", false, (*spec).setMode},
	{"OWNER", "unix fifo", false, func(s *spec, v string) bool { s.user = v; return v != "" }},
	{"GROUP", "unix fifo", false, func(s *spec, v string) bool { s.owners = v; return v != "" }},
	{"BACKLOG", "inet inet6 unix vsock", false, func(s *spec, v string) bool { return number(&s.backlog, v, 0, math.MaxInt32) }},
	{"ACCEPT", "inet inet6 unix vsock", false, func(s *spec, v string) bool { return truth(&s.accept, v) }},
	{"MAXCONN", "inet inet6 unix vsock", false, func(s *spec, v string) bool { return number(&s.maxConn, v, 1, math.MaxInt32) }},
	{"FDNAME", "", false, isFileName},
	{"REUSEPORT", "inet inet6", false, func(s *spec, v string) bool { return truth(&s.reuse, v) }},
	{"FREEBIND", "inet inet6", false, func(s *spec, v string) bool { return truth(&s.freebind, v) }},
	{"NODELAY", "inet inet6", false, func(s *spec, v string) bool { return truth(&s.nodelay, v) }},
	{"V6ONLY", "inet6", false, func(s *spec, v string) bool { ok := truth(&s.dual, v); s.dual = !s.dual; return ok }},
	{"DEVICE", "inet inet6", false, func(s *spec, v string) bool { s.device = v; return v != "" && len(v) < unix.IFNAMSIZ }},
}

// protos are the kinds of sockets, and the words without which one is not
// complete.
var protos = map[string][]string{
	"inet": {"PORT"}, "inet6": {"PORT"}, "unix": {"PATH"}, "fifo": {"PATH"}, "vsock": {"PORT"}, "netlink": {"FAMILY"},
}

// find returns the key that a word of an operand means.
func (s *spec) find(word string) *key {
	match := func(same func(k key) bool) *key {
		i := slices.IndexFunc(keys, func(k key) bool {
			return (k.protos == "" || slices.Contains(strings.Fields(k.protos), s.proto)) && same(k)
		})
		if i < 0 {
			return nil
		}
		return &keys[i]
	}
	if k := match(func(k key) bool { return k.name == word }); k != nil {
		return k
	}
	return match(func(k key) bool { return k.upstart && strings.HasPrefix(k.name, word) })
}

// parse reads the arguments of an operand (UPSTART §9.2). Errors go after
// "Ignored " and before " in JOB".
func parse(args []string) (*spec, error) {
	s := &spec{kind: unix.SOCK_STREAM, cid: anyCID, mode: defaultMode, backlog: anyBacklog, maxConn: defaultMaxConn}
	given := map[string]string{}
	for i, arg := range args {
		word, value, ok := strings.Cut(arg, "=")
		if !ok || word == "" {
			return nil, errors.New("socket event without variable name")
		}
		if i == 0 && strings.HasPrefix("PROTO", word) {
			if s.proto = value; protos[value] == nil {
				return nil, fmt.Errorf("socket event with unknown PROTO=%s", value)
			}
		}
		var k *key
		if s.proto != "" {
			k = s.find(word)
		}
		if k == nil {
			return nil, fmt.Errorf("socket event with unknown variable %s", word)
		}
		before, twice := given[k.name]
		negation := strings.Contains(value, "!=") // which is what init takes it for (UPSTART §1.5.1)
		if negation || twice && before != value || !k.set(s, value) {
			return nil, fmt.Errorf("socket event with invalid %s=%s", k.name, value)
		}
		given[k.name] = value
	}
	if _, ok := given["SOCKET_PATH"]; ok {
		given["PATH"] = s.path
	}
	if s.proto == "" || slices.ContainsFunc(protos[s.proto], func(name string) bool { _, ok := given[name]; return !ok }) {
		return nil, errors.New("incomplete socket event")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.describe(args, given)
	return s, nil
}

// check finds what does not go together.
func (s *spec) check() error {
	switch {
	case s.isInet() && s.kind == unix.SOCK_SEQPACKET:
		return errors.New("socket event with invalid TYPE=seqpacket")
	case s.accept && s.kind == unix.SOCK_DGRAM:
		return errors.New("socket event with invalid ACCEPT=yes for datagrams")
	case s.nodelay && s.kind == unix.SOCK_DGRAM:
		return errors.New("socket event with invalid NODELAY=yes for datagrams")
	}
	return nil
}

// describe makes the variables of the event: Upstart's first, and then what
// else was written, so that the event matches the operand.
func (s *spec) describe(args []string, given map[string]string) {
	s.env = []string{"PROTO=" + s.proto}
	switch s.proto {
	case "inet", "inet6":
		addr := given["ADDR"]
		if addr == "" {
			addr = map[string]string{"inet": "0.0.0.0", "inet6": "::"}[s.proto]
		}
		s.env = append(s.env, "PORT="+given["PORT"], "ADDR="+addr)
	case "unix":
		s.env = append(s.env, "SOCKET_PATH="+s.path, "PATH="+s.path)
	}
	for _, arg := range args {
		word, _, _ := strings.Cut(arg, "=")
		if !slices.ContainsFunc(s.env, func(v string) bool { return strings.HasPrefix(v, word+"=") }) {
			s.env = append(s.env, arg)
		}
	}
}

// key tells sockets apart.
func (s *spec) key() string { return strings.Join(s.env, " ") }

// address is what it is bound to, for messages.
func (s *spec) address() string {
	switch s.proto {
	case "inet", "inet6":
		addr := s.addr
		if !addr.IsValid() {
			addr = s.anyAddress()
		}
		return netip.AddrPortFrom(addr, uint16(s.port)).String()
	case "vsock":
		return "vsock port " + strconv.FormatUint(uint64(s.port), 10)
	case "netlink":
		return "netlink family " + strconv.Itoa(s.family)
	}
	return s.path
}

// meets reports whether two sockets are in each other's way.
func (s *spec) meets(other *spec) bool {
	if s.kind != other.kind {
		return false
	}
	if !s.isInet() || !other.isInet() {
		return s.address() == other.address()
	}
	return s.port == other.port && (s.proto == other.proto || s.dual || other.dual) &&
		(s.isAny() || other.isAny() || s.addr.Unmap() == other.addr.Unmap())
}

func (s *spec) isInet() bool { return s.proto == "inet" || s.proto == "inet6" }

func (s *spec) isAny() bool { return !s.addr.IsValid() || s.addr.IsUnspecified() }

func (s *spec) anyAddress() netip.Addr {
	if s.proto == "inet" {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (s *spec) isFile() bool {
	return s.proto == "fifo" || s.proto == "unix" && s.path[0] != '@'
}

func (s *spec) setAddr(v string) bool {
	a, err := netip.ParseAddr(v)
	s.addr = a
	return err == nil && a.Is4() == (s.proto == "inet")
}

// setPath: an address of a socket has room for 107 bytes, of FreeBSD's for
// 103.
func (s *spec) setPath(v string) bool {
	room := len(unix.RawSockaddrUnix{}.Path) - 1
	if s.proto == "fifo" {
		room = unix.PathMax - 1
	}
	abstract := s.proto == "unix" && len(v) > 1 && v[0] == '@'
	if s.path != "" && s.path != v || len(v) > room || !abstract && (v == "" || v[0] != '/') {
		return false
	}
	s.path = v
	return strings.IndexByte(v, 0) < 0
}

func (s *spec) setType(v string) bool {
	s.kind = map[string]int{"stream": unix.SOCK_STREAM, "dgram": unix.SOCK_DGRAM, "seqpacket": unix.SOCK_SEQPACKET}[v]
	return s.kind != 0
}

func (s *spec) setMode(v string) bool {
	n, err := strconv.ParseUint(v, 8, 16)
	s.mode = fs.FileMode(n)
	return err == nil && n <= 0o777
}

// netlinkFamilies are the names that systemd's ListenNetlink= has.
var netlinkFamilies = map[string]int{
	"route": 0, "firewall": 3, "inet-diag": 4, "nflog": 5, "xfrm": 6, "selinux": 7, "iscsi": 8, "audit": 9,
	"fib-lookup": 10, "connector": 11, "netfilter": 12, "ip6-fw": 13, "dnrtmsg": 14, "kobject-uevent": 15,
	"generic": 16, "scsitransport": 18, "ecryptfs": 19, "rdma": 20,
}

func (s *spec) setFamily(v string) (ok bool) {
	s.family, ok = netlinkFamilies[v]
	return ok
}

// isFileName is the rule of sd_listen_fds_with_names(3).
func isFileName(_ *spec, v string) bool {
	return v != "" && len(v) <= 255 && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' || r == ':' })
}

func number[T int | uint32](to *T, v string, low, high uint64) bool {
	n, err := strconv.ParseUint(v, 10, 64)
	*to = T(n)
	return err == nil && n >= low && n <= high
}

func truth(to *bool, v string) bool {
	*to = v == "yes"
	return v == "yes" || v == "no"
}
