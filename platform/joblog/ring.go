package joblog

// ring keeps the last tailMax bytes written to it, in no more memory than
// they need.
type ring struct {
	buf  []byte
	next int // oldest byte once buf is full
}

func (r *ring) write(p []byte) {
	if len(p) > tailMax {
		p = p[len(p)-tailMax:]
	}
	if free := tailMax - len(r.buf); free > 0 {
		n := min(free, len(p))
		r.buf = append(r.buf, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(r.buf[r.next:], p)
		r.next = (r.next + n) % tailMax
		p = p[n:]
	}
}

func (r *ring) bytes() []byte {
	return append(append([]byte(nil), r.buf[r.next:]...), r.buf[:r.next]...)
}

func (r *ring) size() int { return cap(r.buf) }
