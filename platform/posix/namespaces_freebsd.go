package posix

import "golang.org/x/sys/unix"

// mounting has nothing to keep.
type mounting struct{}

// namespaces has none to give.
func (s *stage) namespaces() *SetupError {
	for _, n := range s.Isolation.Namespaces {
		if err := s.without(n, unix.ENOSYS); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) sources() *SetupError { return nil }

// mounts is not reached by a job that asks for any: those need a namespace.
func (s *stage) mounts() *SetupError { return nil }

func (s *stage) unprivileged() *SetupError { return nil }
