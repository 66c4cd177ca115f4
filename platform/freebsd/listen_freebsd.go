package freebsd

import (
	bytes "encoding/binary" // the package has a binary of its own
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform"
	"onset/platform/posix"
)

// Listens implements platform.Listens by looking at what the kernel tells of
// sockets, again and again until a job is ready. Nothing tells of a call of listen(2)
// otherwise but ptrace(2), and what is traced dies with its tracer.
type Listens struct {
	groups  *groups
	poller  platform.Poller
	handler platform.ListenHandler
	queue   int
	pause   time.Duration // before the next look; 0: none is due
	watches map[uint64]posix.ListenAddress
}

var _ platform.Listens = (*Listens)(nil)

// A job that begins to listen is ready after no more than a pause. They grow.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 200 * time.Millisecond
)

// NewListens hears nothing yet. It needs no memory.
func (p *Processes) NewListens(poller platform.Poller, _ []byte, h platform.ListenHandler) platform.Listens {
	return &Listens{groups: p.groups, poller: poller, handler: h, queue: -1, watches: map[uint64]posix.ListenAddress{}}
}

// Watch implements platform.Listens.
func (l *Listens) Watch(token uint64, address string, _ int) error {
	if l.queue < 0 {
		queue, err := newQueue()
		if err != nil {
			return err
		}
		if err := l.poller.Add(queue, platform.Readable, func(platform.Ready) { l.due() }); err != nil {
			unix.Close(queue)
			return err
		}
		l.queue = queue
	}
	a, ok := posix.ParseListenAddress(address)
	if !ok {
		l.handler.Remark(token, fmt.Sprintf("is ready when it listens anywhere: %q is no address", address))
	}
	l.watches[token] = a
	l.pause = firstPause
	return l.arm()
}

// Taken implements platform.Listens. Nobody waits for it.
func (l *Listens) Taken() {}

// arm has a look come due after the pause.
func (l *Listens) arm() error {
	return change(l.queue, unix.Kevent_t{Filter: unix.EVFILT_TIMER, Flags: unix.EV_ADD | unix.EV_ONESHOT, Data: l.pause.Milliseconds()})
}

// due looks at all that is watched.
func (l *Listens) due() {
	var taken [1]unix.Kevent_t
	unix.Kevent(l.queue, nil, taken[:], &unix.Timespec{})
	listening := listeners()
	for token, a := range l.watches {
		members := l.groups.living(token)
		listens, apart := false, posix.OwnNetwork(l.groups.jid(token))
		for _, pid := range members {
			listens = listens || listensAt(pid, a, listening, apart)
		}
		if listens {
			l.handler.Listening(token)
		}
		if listens || len(members) == 0 {
			delete(l.watches, token)
			l.handler.Unwatched(token)
		}
	}
	if len(l.watches) > 0 {
		l.pause = min(l.pause*3/2, lastPause)
		if err := l.arm(); err != nil {
			for token := range l.watches {
				l.handler.Remark(token, "cannot be heard of when it listens: "+err.Error())
			}
		}
	}
}

// acceptConn is SO_ACCEPTCONN among the options of a socket.
const acceptConn = 2

// Where the lists of sockets (struct xtcpcb, struct xunpcb) have what is of use
// here: struct xsocket begins at socket.
const (
	socketPCB     = 16
	socketOptions = 158
	inSocket      = 16
	inFamilies    = 400 // inp_vflag
	hasIPv4       = 1
	unSocket      = 8*7 + 64 + 32 + 512
)

// listeners are the sockets that listen, by the address of their protocol
// block. True says of one bound to all addresses that those are of one family.
func listeners() map[uint64]bool {
	found := map[uint64]bool{}
	collect := func(name string, socket int, only func(entry []byte) bool) {
		list, err := unix.SysctlRaw(name)
		if err != nil || len(list) < 8 {
			return
		}
		for at := length(list); at > 0 && at < len(list); {
			n := length(list[at:])
			if n <= socket+socketOptions+2 || at+n > len(list) {
				return // the last one is shorter
			}
			entry := list[at : at+n]
			if bytes.LittleEndian.Uint16(entry[socket+socketOptions:])&acceptConn != 0 {
				found[bytes.LittleEndian.Uint64(entry[socket+socketPCB:])] = only(entry)
			}
			at += n
		}
	}
	collect("net.inet.tcp.pcblist", inSocket, func(entry []byte) bool {
		return len(entry) > inFamilies && entry[inFamilies]&hasIPv4 == 0
	})
	local := func([]byte) bool { return true }
	collect("net.local.stream.pcblist", unSocket, local)
	collect("net.local.seqpacket.pcblist", unSocket, local)
	return found
}

// length is how long an entry of a list says that it is.
func length(entry []byte) int {
	if len(entry) < 8 {
		return 0
	}
	return int(min(bytes.LittleEndian.Uint64(entry), 1<<20))
}

// Where the list of descriptors of a process (struct kinfo_file) has what is of
// use here.
const (
	procFiles   = 33
	fileType    = 4
	fileKind    = 40
	fileAddress = 48
	filePeer    = 176
	filePCB     = 304
	isSocket    = 2 // KF_TYPE_SOCKET
)

// listensAt reports whether a process has a socket that listens at an address.
// The lists have no network but that of this process; apart says that the process
// has another, where a socket counts that is bound and has no peer.
func listensAt(pid int, a posix.ListenAddress, listening map[uint64]bool, apart bool) bool {
	size, err := sysctl(nil, procFiles, int32(pid))
	if err != nil {
		return false
	}
	list := make([]byte, size+4096)
	if size, err = sysctl(list, procFiles, int32(pid)); err != nil {
		return false
	}
	for list = list[:size]; len(list) >= 8; {
		n := int(bytes.LittleEndian.Uint32(list))
		if n <= 0 || n > len(list) {
			return false
		}
		file := list[:n]
		list = list[n:]
		if n < filePCB+8 || bytes.LittleEndian.Uint32(file[fileType:]) != isSocket {
			continue
		}
		only, ok := listening[bytes.LittleEndian.Uint64(file[filePCB:])]
		if !ok && apart && bytes.LittleEndian.Uint32(file[fileKind:]) == unix.SOCK_STREAM {
			only, ok = true, portOf(file[fileAddress:]) != 0 && portOf(file[filePeer:]) == 0
		}
		if ok && takes(a, file[fileAddress:filePCB], only) {
			return true
		}
	}
	return false
}

// takes reports whether a socket bound to a socket address takes what comes to
// a.
func takes(a posix.ListenAddress, bound []byte, only bool) bool {
	if !a.Limited() {
		return true
	}
	port := portOf(bound)
	switch bound[1] { // sa_family; before it is the length
	case unix.AF_UNIX:
		return a.Named(unix.ByteSliceToString(bound[2:max(2, min(int(bound[0]), 106))]))
	case unix.AF_INET:
		return a.Takes(netip.AddrFrom4([4]byte(bound[4:8])), port, true)
	case unix.AF_INET6:
		return a.Takes(netip.AddrFrom16([16]byte(bound[8:24])).Unmap(), port, only)
	}
	return false
}

// portOf is that of a socket address, or 0 of one that has none.
func portOf(address []byte) int {
	if family := address[1]; family != unix.AF_INET && family != unix.AF_INET6 {
		return 0
	}
	return int(bytes.BigEndian.Uint16(address[2:]))
}
