package manager

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/engine"
	"onset/core/job"
	"onset/platform"
	"onset/platform/posix"
)

// sign is this side of what a main process says with that it is ready: the
// reading end of a pipe (expect fd), until it is released, or the socket of expect
// listen, as long as anything lives that it is about.
type sign struct {
	Token   uint64
	FD      int
	Listen  bool
	Address string // of expect listen
}

// signName begins the names of signs in the keeper's store, before the token,
// for expect listen with the address behind it.
const signName = "sign "

func (s *sign) name() string {
	name := signName + strconv.FormatUint(s.Token, 10)
	if s.Listen {
		name += " " + s.Address
	}
	return name
}

// storedSign is the sign of a name in the keeper's store.
func storedSign(name string, fd int) (s sign, ok bool) {
	rest, ok := strings.CutPrefix(name, signName)
	if !ok {
		return s, false
	}
	text, address, listen := strings.Cut(rest, " ")
	token, err := strconv.ParseUint(text, 10, 64)
	return sign{Token: token, FD: fd, Listen: listen, Address: address}, err == nil
}

// openSign makes what the main process of a spec needs to say that it is
// ready, and returns its end; 0 if it needs nothing, or there is nothing that would hear it.
func (m *Manager) openSign(token uint64, s *job.Spec) (child int, err error) {
	fds := [2]int{}
	switch {
	case s.Slot == job.Main && s.Expect.Kind == job.ExpectFD:
		fds, err = posix.LinePipe()
	case s.Slot == job.Main && s.Expect.Kind == job.ExpectListen && m.listens != nil:
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	default:
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if old := m.signs[token]; old != nil { // of a manager that died before there was a process
		m.closeSign(old)
	}
	own := &sign{Token: token, FD: fds[0], Listen: s.Expect.Kind == job.ExpectListen, Address: s.Expect.Arg}
	m.kept.store(own.name(), own.FD)
	if err = m.hearSign(own); err != nil {
		unix.Close(fds[1])
		return 0, err
	}
	return fds[1], nil
}

// hearSign begins to hear of a sign, which becomes the manager's.
func (m *Manager) hearSign(s *sign) error {
	m.signs[s.Token] = s
	err := unix.SetNonblock(s.FD, true)
	switch {
	case err != nil:
	case s.Listen:
		if m.listens == nil {
			err = unix.ENOTSUP
		} else {
			err = m.listens.Watch(s.Token, s.Address, s.FD)
		}
	default:
		err = m.k.Poller.Add(s.FD, platform.Readable, func(platform.Ready) { m.signed(s) })
	}
	if err != nil {
		m.closeSign(s)
	}
	return err
}

// signed looks what is in the pipe of a sign. It is closed when the journal has that.
func (m *Manager) signed(s *sign) {
	came, ended := posix.Newline(s.FD)
	if came {
		m.happened(engine.Ready{Token: s.Token})
	}
	if came || ended {
		m.over = append(m.over, s)
		m.k.Poller.Remove(s.FD)
	}
}

// signsTaken is called when the journal has what was heard.
func (m *Manager) signsTaken() {
	if m.listens != nil {
		m.listens.Taken()
	}
	for _, s := range m.over {
		m.closeSign(s)
	}
	clear(m.over)
	m.over = m.over[:0]
}

// closeSign forgets a sign; one that is closed already is no error.
func (m *Manager) closeSign(s *sign) {
	if m.signs[s.Token] != s {
		return
	}
	delete(m.signs, s.Token)
	m.kept.drop(s.name())
	if !s.Listen {
		m.k.Poller.Remove(s.FD)
	}
	unix.Close(s.FD)
}

// releaseSign ends what only main can say.
func (m *Manager) releaseSign(token uint64) {
	if s := m.signs[token]; s != nil && !s.Listen {
		m.closeSign(s)
	}
}

// adoptSigns hears of the signs of an image before, those of processes that
// may still say something.
func (m *Manager) adoptSigns(signs []sign) {
	waiting := map[uint64]bool{}
	for _, c := range m.engine.State().Classes {
		for _, j := range c.Instances {
			waiting[j.Proc(job.Main).Token] = j.State == job.Spawned
		}
	}
	for i := range signs {
		s := &signs[i]
		unix.CloseOnExec(s.FD)
		if !s.Listen && !waiting[s.Token] {
			m.kept.drop(s.name())
			unix.Close(s.FD)
			continue
		}
		m.kept.store(s.name(), s.FD) // the keeper may have had no room before
		if err := m.hearSign(s); err != nil {
			m.warn("cannot hear whether a job is ready: %s", err)
		}
	}
}

// Listening implements platform.ListenHandler.
func (m *Manager) Listening(token uint64) { m.happened(engine.Ready{Token: token}) }

// Unwatched implements platform.ListenHandler.
func (m *Manager) Unwatched(token uint64) {
	if s := m.signs[token]; s != nil {
		m.over = append(m.over, s)
	}
}

// Remark tells of what a job has to do without, once a class, at info. It
// implements platform.ListenHandler.
func (m *Manager) Remark(token uint64, text string) {
	for _, c := range m.engine.State().Classes {
		for _, j := range c.Instances {
			if slices.ContainsFunc(j.Live, func(p job.Proc) bool { return p.Token == token }) {
				m.remark(j.Class.Name, text)
			}
		}
	}
}

func (m *Manager) remark(class, text string) {
	line := fmt.Sprintf("%s %s", class, text)
	if !m.remarks[line] && m.engine.LogPriority() <= engine.Info {
		m.remarks[line] = true
		m.say(engine.Info, line)
	}
}
