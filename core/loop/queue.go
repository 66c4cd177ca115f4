package loop

import "onset/core/engine"

// queue holds messages. It has room in front, since a message that is taken
// may have results that go there while thousands wait behind.
type queue struct {
	msgs []engine.Msg
	head int // of msgs, the first that waits
}

func (q *queue) empty() bool { return q.head == len(q.msgs) }

func (q *queue) take() engine.Msg {
	msg := q.msgs[q.head]
	q.msgs[q.head] = nil
	if q.head++; q.empty() {
		q.reset()
	}
	return msg
}

// reset forgets room that only a burst needs.
func (q *queue) reset() {
	const most = 256
	if cap(q.msgs) > most {
		q.msgs = nil
	}
	q.msgs, q.head = q.msgs[:0], 0
}

func (q *queue) pushBack(msgs []engine.Msg) { q.msgs = append(q.msgs, msgs...) }

func (q *queue) pushFront(msgs []engine.Msg) {
	waiting := q.msgs[q.head:]
	if len(waiting) == 0 {
		q.reset()
		q.pushBack(msgs)
		return
	}
	if room := len(msgs) + len(waiting); q.head < len(msgs) {
		q.msgs = make([]engine.Msg, 2*room)
		q.head = room + len(msgs)
		copy(q.msgs[q.head:], waiting)
	}
	q.head -= len(msgs)
	copy(q.msgs[q.head:], msgs)
}
