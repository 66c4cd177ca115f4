package keeper

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// MaxStored is how many descriptors the keeper holds at most.
	MaxStored = 4096
	// MaxName is the length in bytes that a name of one may have: that of a
	// file and a little.
	MaxName = 280
	// MaxEvents is how many events wait for a manager at most.
	MaxEvents = 65536
)

// state is all that the keeper knows. It is in memory that survives an
// execution of a keeper, maybe of another version: fields are only ever added
// where Spare is, and never change what they mean. Zero bytes are a state.
type state struct {
	Magic uint64
	Size  uint64

	Manager int32 // process number; 0 while there is none
	Shell   int32 // the emergency shell
	Socket  int32 // to the manager; 0 while there is none
	Memory  int32 // of snapshots and log

	Life     uint32 // of the manager, from 1
	Deaths   uint32 // since a manager was alive last
	Poisoned uint32 // died by its own fault, and no log was recovered since
	Code     int32  // of the last manager's death, as waitid tells it
	Status   int32
	Fresh    uint32   // the manager of this life has not been greeted yet
	Faults   [2]int64 // when managers died by their own fault, ns, latest first
	Retry    int64    // no manager is started before, ns

	Greeting int32  // see greet
	Nonce    uint64 // of the hello that is being answered

	Watchdog   int32 // device; 0 while it is off
	WatchdogMs int32
	Fed        int64 // when, ns

	Signals uint64 // bits of signals that are not in the ring yet
	Waiting uint64 // of those that are, and were not sent
	Reaping int32  // in the ring, but maybe still a zombie
	Room    uint32 // how many events the ring takes

	Head, Sent, Tail uint64 // event numbers: first kept, first not sent, next

	Stored uint32 // how many
	Limit  uint32 // how many can be
	Held   uint64 // no manager is started, see hold
	Spare  [63]uint64

	Store [MaxStored]stored
	Ring  [MaxEvents]event
}

const (
	stateMagic = 0x312d7065656b6e6f // "onkeep-1"
	stateSize  = int(unsafe.Sizeof(state{}))
)

// stored is a descriptor under a name.
type stored struct {
	FD   int32
	Len  int32
	Name [MaxName]byte
}

func (s *stored) name() []byte { return s.Name[:s.Len] }

// event is a death or, without process, a signal.
type event struct {
	PID          int32
	Code, Status int32 // as waitid tells it; Status alone is the signal
	_            int32
}

var errState = errors.New("cannot take over from the keeper before: its state is of an unknown kind")

// mapState maps the state in the file fd, which is made if it is empty.
func mapState(fd int) (*state, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Size == 0 {
		if err := unix.Ftruncate(fd, int64(stateSize)); err != nil {
			return nil, err
		}
	} else if st.Size < int64(stateSize) {
		return nil, errState
	}
	mem, err := unix.Mmap(fd, 0, stateSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	s := (*state)(unsafe.Pointer(&mem[0]))
	if s.Magic == 0 {
		s.Magic, s.Size = stateMagic, uint64(stateSize)
	}
	if s.Magic != stateMagic {
		return nil, errState
	}
	return s, nil
}

// full reports whether the ring takes no more.
func (s *state) full() bool { return s.Tail-s.Head >= uint64(s.Room) }

// slot returns the place of event n.
func (s *state) slot(n uint64) *event { return &s.Ring[n%MaxEvents] }

// push adds an event to the ring, which is not full.
func (s *state) push(e event) {
	*s.slot(s.Tail) = e
	s.Tail++
}

// queueSignals moves signals to the ring, as far as there is room.
func (s *state) queueSignals() {
	for n := 1; n <= 64; n++ {
		bit := uint64(1) << (n - 1)
		if s.Signals&bit == 0 || s.Waiting&bit == 0 && s.full() {
			continue
		}
		if s.Waiting&bit == 0 {
			s.push(event{Status: int32(n)})
		}
		s.Waiting |= bit
		s.Signals &^= bit
	}
}

// ack forgets the events before number n.
func (s *state) ack(n uint64) {
	if n > s.Head && n <= s.Sent {
		s.Head = n
	}
}

// unsend has what was sent and not acknowledged sent once more.
func (s *state) unsend() {
	s.Sent, s.Waiting = s.Head, 0
	for n := s.Head; n != s.Tail; n++ {
		if e := s.slot(n); e.PID == 0 {
			s.Waiting |= 1 << (e.Status - 1)
		}
	}
}

// find returns where the descriptor of that name is, or -1.
func (s *state) find(name []byte) int {
	for i := range s.Store[:s.Stored] {
		if string(s.Store[i].name()) == string(name) {
			return i
		}
	}
	return -1
}

// put stores fd, in place of one of the same name. It reports whether there
// was room.
func (s *state) put(name []byte, fd int) bool {
	i := s.find(name)
	switch {
	case i >= 0:
		unix.Close(int(s.Store[i].FD))
	case s.Stored >= s.Limit:
		return false
	default:
		i = int(s.Stored)
		s.Stored++
	}
	e := &s.Store[i]
	e.FD, e.Len = int32(fd), int32(copy(e.Name[:], name))
	return true
}

// drop closes the descriptor of that name, if there is one.
func (s *state) drop(name []byte) {
	i := s.find(name)
	if i < 0 {
		return
	}
	unix.Close(int(s.Store[i].FD))
	s.Stored--
	s.Store[i] = s.Store[s.Stored]
}
