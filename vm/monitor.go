package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// monitorTime bounds the answer to a command, which QEMU gives whatever the
// guest does.
const monitorTime = 20 * time.Second

// monitor speaks QMP, QEMU's control protocol: JSON objects both ways, one
// answer a command, and events in between. A goroutine of its own reads until
// the connection ends.
type monitor struct {
	conn    io.ReadWriteCloser
	answers chan message  // of commands, and closed at the end
	ended   chan struct{} // closed at the end

	mu     sync.Mutex
	reason string         // of the last SHUTDOWN event
	seen   map[string]int // how often each event came, by its name and device
	more   chan struct{}  // closed and replaced when it is one more
}

type message struct {
	Return json.RawMessage
	Error  *struct{ Desc string }
	Event  string
	Data   struct{ Reason, Device string }
}

func newMonitor(conn io.ReadWriteCloser) *monitor {
	m := &monitor{conn: conn, answers: make(chan message, 1), ended: make(chan struct{}),
		seen: map[string]int{}, more: make(chan struct{})}
	go m.read()
	return m
}

func (m *monitor) read() {
	defer close(m.ended)
	defer close(m.answers)
	for in := json.NewDecoder(m.conn); ; {
		var msg message
		if in.Decode(&msg) != nil {
			return
		}
		switch {
		case msg.Event != "":
			m.mu.Lock()
			if msg.Event == "SHUTDOWN" {
				m.reason = msg.Data.Reason
			}
			m.seen[msg.Event+msg.Data.Device]++
			close(m.more)
			m.more = make(chan struct{})
			m.mu.Unlock()
		case msg.Return != nil || msg.Error != nil:
			m.answers <- msg
		}
	}
}

// execute runs one command and waits for its answer.
func (m *monitor) execute(command string, arguments any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(m.conn).Encode(request); err != nil {
		return fmt.Errorf("cannot ask qemu for %q: %v", command, err)
	}
	select {
	case answer, ok := <-m.answers:
		switch {
		case !ok:
			return fmt.Errorf("cannot ask qemu for %q: it is gone", command)
		case answer.Error != nil:
			return fmt.Errorf("cannot ask qemu for %q: %s", command, answer.Error.Desc)
		}
		return nil
	case <-time.After(monitorTime):
		return fmt.Errorf("cannot ask qemu for %q: no answer within %v", command, monitorTime)
	}
}

// await waits until events are as wanted.
func (m *monitor) await(timeout time.Duration, so func(seen map[string]int) bool) error {
	for timer := time.NewTimer(timeout); ; {
		m.mu.Lock()
		is, more := so(m.seen), m.more
		m.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-more:
		case <-m.ended:
			return errors.New("qemu is gone")
		case <-timer.C:
			return fmt.Errorf("not within %v", timeout)
		}
	}
}

// unplug takes a device away and waits until it is gone, which on some buses
// the guest has to agree to.
func (m *monitor) unplug(id string, timeout time.Duration) error {
	event := "DEVICE_DELETED" + id
	m.mu.Lock()
	before := m.seen[event]
	m.mu.Unlock()
	if err := m.execute("device_del", map[string]string{"id": id}); err != nil {
		return err
	}
	if err := m.await(timeout, func(seen map[string]int) bool { return seen[event] > before }); err != nil {
		return fmt.Errorf("cannot take %q away, which the guest has to let go: %v", id, err)
	}
	return nil
}

// wake waits until the guest sleeps, and wakes it when it has slept for so long.
func (m *monitor) wake(slept, timeout time.Duration) error {
	if err := m.await(timeout, func(seen map[string]int) bool { return seen["SUSPEND"] > seen["WAKEUP"] }); err != nil {
		return fmt.Errorf("the guest does not sleep: %v", err)
	}
	time.Sleep(slept)
	return m.execute("system_wakeup", nil)
}

// shutdown returns why the machine ended, once QEMU has gone.
func (m *monitor) shutdown() string {
	<-m.ended
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason
}

func (m *monitor) close() { m.conn.Close() }
