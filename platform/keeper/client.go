package keeper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"onset/platform/posix"
)

// Reboot is a way to end the system.
type Reboot int32

// The ways to end the system. The number of one never changes.
const (
	Restart Reboot = iota + 1
	Halt
	PowerOff
	Kexec
)

// Event is what the keeper tells: a death, or a signal sent to process 1.
type Event struct {
	Seq          uint64         // consecutive over all managers
	Signal       syscall.Signal // 0 for a death
	PID          int
	Code, Status int // as waitid tells them (CLD_EXITED and the status, …)
}

// Stored is a descriptor the keeper holds. FD is the manager's copy of it,
// close-on-exec, or -1 if the manager may not open so many.
type Stored struct {
	Name string
	FD   int
}

// Predecessor is what a manager learns of the one before.
type Predecessor struct {
	// Died says how, as waitid tells it. Otherwise there was none, or it
	// executed itself.
	Died         bool
	Code, Status int
	// Poisoned says that a manager died by its own fault, and none has said
	// Recovered since; see snapshot.Recover.
	Poisoned bool
}

// Client is the manager's end of its connection to the keeper.
type Client struct {
	Memory      *Memory
	Predecessor Predecessor
	Life        int      // the number of this manager, from 1
	Stored      []Stored // when the manager started

	socket, memory int
	wire           wire
	missed         int             // events from before the greeting
	names          map[string]bool // stored now
	room           int
	alive          bool
}

const (
	greetingTime = 10 * time.Second
	sendTime     = time.Second
)

var (
	errRoom    = errors.New("the keeper has no room for another descriptor")
	errName    = fmt.Errorf("the name of a stored descriptor has 1 to %d bytes", MaxName)
	errSilent  = errors.New("the keeper does not answer")
	errNoGreet = errors.New("the keeper greets in an unknown way")
)

// Attach connects to the keeper that started this process, or its program
// before, and adopts the orphans of its descendants. Without a keeper it
// returns nil and no error.
func Attach() (*Client, error) {
	name := attachEnv[:len(attachEnv)-1]
	text, ok := os.LookupEnv(name)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(name)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return nil, nil
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return nil, nil // the variable is somebody else's
	}
	c := &Client{socket: fd, memory: fd + 1, names: make(map[string]bool)}
	unix.CloseOnExec(c.socket)
	unix.CloseOnExec(c.memory)
	if c.Memory, err = mapMemory(c.memory); err == nil {
		err = c.greet()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot attach to the keeper: %w", err)
	}
	return c, posix.AdoptOrphans()
}

// greet says hello and takes the greeting. What the keeper said to another
// program of this process before comes again after it.
func (c *Client) greet() error {
	nonce := uint64(monotonic())
	if err := c.send(message{Kind: msgHello, Seq: nonce}, -1); err != nil {
		return err
	}
	greeted := false
	for end := time.Now().Add(greetingTime); ; {
		fd, err := c.wire.receive(c.socket)
		if err == unix.EAGAIN {
			err = wait(c.socket, unix.POLLIN, end)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		switch m := &c.wire.in; {
		case m.Kind == msgGreeting && m.Seq == nonce:
			greeted = true
			c.greeting(m)
		case !greeted:
			closeFD(fd)
		case m.Kind == msgStored:
			c.Stored = append(c.Stored, Stored{string(m.name()), fd})
			c.names[string(m.name())] = true
		case m.Kind == msgReady:
			c.missed = int(m.A)
			return nil
		default:
			return errNoGreet
		}
	}
}

func (c *Client) greeting(m *message) {
	c.Life, c.room = int(m.A), int(m.Len)
	c.Predecessor = Predecessor{
		Died: m.B&greetDied != 0, Code: int(m.C), Status: int(m.D),
		Poisoned: m.B&greetPoisoned != 0,
	}
}

// FD is readable when Receive has something.
func (c *Client) FD() int { return c.socket }

// Receive calls yield with the events that came, in their order. It does not
// block. An error is that the connection is lost, which ends the manager.
func (c *Client) Receive(yield func(Event)) error {
	for {
		fd, err := c.wire.receive(c.socket)
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		closeFD(fd)
		m := &c.wire.in
		if m.Kind != msgEvent {
			continue
		}
		e := Event{Seq: m.Seq, PID: int(m.A), Code: int(m.B), Status: int(m.C)}
		if e.PID == 0 {
			e = Event{Seq: m.Seq, Signal: syscall.Signal(m.C)}
		}
		c.missed--
		yield(e)
	}
}

// Await waits until Receive has something, or the limit has passed.
func (c *Client) Await(limit time.Duration) error {
	return wait(c.socket, unix.POLLIN, time.Now().Add(limit))
}

// Missed is a Receive that waits until it has had everything that happened
// before Attach.
func (c *Client) Missed(yield func(Event)) error {
	for end := time.Now().Add(greetingTime); ; {
		if err := c.Receive(yield); err != nil || c.missed <= 0 {
			return err
		}
		if err := wait(c.socket, unix.POLLIN, end); err != nil {
			return err
		}
	}
}

// Ack says that the event of that number and those before it are taken: they
// never come again.
func (c *Client) Ack(seq uint64) error { return c.send(message{Kind: msgAck, Seq: seq}, -1) }

// Store has the keeper hold a copy of fd under a name, in place of what it
// held under that name.
func (c *Client) Store(name string, fd int) error {
	m := message{Kind: msgStore}
	switch {
	case name == "" || len(name) > MaxName:
		return errName
	case !c.names[name] && len(c.names) >= c.room:
		return errRoom
	}
	m.setName([]byte(name))
	err := c.send(m, fd)
	if err == nil {
		c.names[name] = true
	}
	return err
}

// Drop ends what Store did. A name that is not there is no error.
func (c *Client) Drop(name string) error {
	if !c.names[name] {
		return nil
	}
	m := message{Kind: msgDrop}
	m.setName([]byte(name))
	err := c.send(m, -1)
	if err == nil {
		delete(c.names, name)
	}
	return err
}

// Recovered says that the log is in order: what this manager's predecessors
// died of is no longer at its end. It comes before the first input.
func (c *Client) Recovered() error { return c.send(message{Kind: msgRecovered}, -1) }

// Alive says that an input was handled. Only the first call of a life counts.
func (c *Client) Alive() error {
	if c.alive {
		return nil
	}
	err := c.send(message{Kind: msgAlive}, -1)
	c.alive = err == nil
	return err
}

// Watchdog has the keeper feed the watchdog device that often; 0 ends it.
func (c *Client) Watchdog(every time.Duration) error {
	return c.send(message{Kind: msgWatchdog, A: int32(every.Milliseconds())}, -1)
}

// Reboot ends the system, at once and without writing anything to disks.
func (c *Client) Reboot(kind Reboot) error {
	return c.send(message{Kind: msgReboot, A: int32(kind)}, -1)
}

// Exit has the keeper exit, which ends a container.
func (c *Client) Exit(code int) error { return c.send(message{Kind: msgExit, A: int32(code)}, -1) }

// Reexec has the keeper execute its program again, which may have changed.
func (c *Client) Reexec() error { return c.send(message{Kind: msgReexec}, -1) }

// Inherit prepares the manager for executing its program again: it returns
// the variable with which the next one finds the keeper. Where that fails,
// Keep takes it back.
func (c *Client) Inherit() string {
	unix.FcntlInt(uintptr(c.socket), unix.F_SETFD, 0)
	unix.FcntlInt(uintptr(c.memory), unix.F_SETFD, 0)
	return attachEnv + strconv.Itoa(c.socket)
}

// Keep takes back Inherit.
func (c *Client) Keep() {
	unix.CloseOnExec(c.socket)
	unix.CloseOnExec(c.memory)
}

// send sends a message, and waits a little where there is no room.
func (c *Client) send(m message, fd int) error {
	c.wire.out = m
	for end := time.Now().Add(sendTime); ; {
		err := c.wire.send(c.socket, fd)
		if err == unix.EAGAIN {
			err = wait(c.socket, unix.POLLOUT, end)
			if err == nil {
				continue
			}
		}
		return err
	}
}

// wait waits until fd is ready or the end has come.
func wait(fd int, want int16, end time.Time) error {
	left := time.Until(end)
	if left <= 0 {
		return errSilent
	}
	p := []unix.PollFd{{Fd: int32(fd), Events: want}}
	if _, err := unix.Poll(p, int(min(left, time.Second)/time.Millisecond)+1); err != nil && err != unix.EINTR {
		return err
	}
	return nil
}
