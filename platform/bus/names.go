package bus

// AwaitName calls there once when a name has an owner on the message bus: now,
// or at any later time on this bus or one that is connected to in its place.
// It may be called for several with one name; token is whose wish it is.
func (s *Server) AwaitName(token uint64, name string, there func()) {
	s.ForgetName(token)
	s.names[token] = awaited{name, there}
	if s.bus != nil && s.bus.named {
		s.bus.lookFor(name)
	}
}

// ForgetName ends that. A token without wish is no error.
func (s *Server) ForgetName(token uint64) {
	a, ok := s.names[token]
	if !ok {
		return
	}
	delete(s.names, token)
	if s.bus != nil && s.bus.named && !s.bus.stream.shut {
		s.bus.call("RemoveMatch", func(*incoming) {}, watchRule(a.name))
	}
}

// Joined reports whether there is a message bus.
func (s *Server) Joined() bool { return s.bus != nil && s.bus.named }

// awaited is a name that somebody waits for.
type awaited struct {
	name  string
	there func()
}

// lookFor asks to be told when a name gets an owner, and then whether it has
// one, so that none goes unnoticed.
func (l *link) lookFor(name string) {
	l.call("AddMatch", func(m *incoming) {
		if m.kind == errorMessage {
			l.s.complain("%s: cannot wait for %q: %s", l.Label, name, errorText(m))
		}
	}, watchRule(name))
	l.call("GetNameOwner", func(m *incoming) {
		if m.kind != errorMessage {
			l.s.owned(name)
		}
	}, name)
}

// lookForAll does that for all names on a bus that was just connected to.
func (l *link) lookForAll() {
	for _, a := range l.s.names {
		l.lookFor(a.name)
	}
}

// owned tells those who wait for a name that it has an owner.
func (s *Server) owned(name string) {
	for token, a := range s.names {
		if a.name == name {
			s.ForgetName(token)
			a.there()
		}
	}
}
