package bus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// Limits of a handshake.
const (
	maxHandshake = 4096 // bytes, from NUL to BEGIN
	maxRejects   = 6    // as libdbus
)

// sasl is the server's side of authentication: EXTERNAL, nothing else.
type sasl struct {
	uid  int // of the peer, as the kernel tells it
	guid string

	started  bool // the NUL byte was there
	asked    bool // DATA was sent, the identity is to come
	accepted bool
	files    bool // descriptors may be passed
	resumed  bool // by a server that does not know whether it is over
	rejects  int
	taken    int // bytes so far
}

var (
	errNotNUL   = errors.New("handshake does not begin with NUL")
	errTooLong  = errors.New("handshake is too long")
	errRejected = errors.New("too many failed attempts to authenticate")
	errEarly    = errors.New("BEGIN before authentication")
)

// feed takes the whole lines that in begins with. It returns how many bytes
// it took, what to answer, and whether messages follow.
func (a *sasl) feed(in []byte) (n int, answer []byte, begun bool, err error) {
	if !a.started && len(in) > 0 {
		if in[0] != 0 {
			return 0, nil, false, errNotNUL
		}
		a.started, n = true, 1
	}
	for {
		end := bytes.Index(in[n:], []byte("\r\n"))
		if a.taken+n+max(end, 0) > maxHandshake || end < 0 && a.taken+len(in) > maxHandshake {
			return n, answer, false, errTooLong
		}
		if end < 0 {
			a.taken += n
			return n, answer, false, nil
		}
		line := string(in[n : n+end])
		n += end + 2
		if line == "BEGIN" {
			if !a.accepted {
				return n, answer, false, errEarly
			}
			return n, answer, true, nil
		}
		answer = append(append(answer, a.line(line)...), '\r', '\n')
		if a.rejects > maxRejects {
			return n, answer, false, errRejected
		}
	}
}

// line answers one line that is not BEGIN.
func (a *sasl) line(line string) string {
	command, rest, _ := strings.Cut(line, " ")
	switch {
	case command == "NEGOTIATE_UNIX_FD" && a.accepted:
		a.files = true
		return "AGREE_UNIX_FD"
	case command == "AUTH" && !a.accepted:
		mechanism, initial, has := strings.Cut(rest, " ")
		if mechanism != "EXTERNAL" {
			return a.reject()
		}
		if !has {
			a.asked = true
			return "DATA"
		}
		return a.identity(initial)
	case command == "DATA" && a.asked:
		return a.identity(rest)
	case (command == "CANCEL" || command == "ERROR") && !a.accepted:
		return a.reject()
	}
	a.rejects++
	return `ERROR "Unknown command"`
}

// identity checks the uid that a client claims to be; none claimed is the
// kernel's word alone.
func (a *sasl) identity(claim string) string {
	a.asked = false
	name, err := hex.DecodeString(claim)
	if err != nil || len(name) > 0 && string(name) != strconv.Itoa(a.uid) {
		return a.reject()
	}
	a.accepted = true
	return "OK " + a.guid
}

func (a *sasl) reject() string {
	a.asked = false
	a.rejects++
	return "REJECTED EXTERNAL"
}
