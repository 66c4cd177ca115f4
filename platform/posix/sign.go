package posix

import (
	"fmt"

	"onset/core/job"
	"onset/platform"
)

// Listens reports whether the process is to be heard of when it listens.
func (n *Newcomer) Listens() bool {
	return n.sign > 0 && n.Spec.Slot == job.Main && n.Spec.Expect.Kind == job.ExpectListen
}

// signNumber is the descriptor of expect fd in the process; 0 without.
func (n *Newcomer) signNumber() int {
	if s := n.Spec; n.sign <= 0 || s.Slot != job.Main || s.Expect.Kind != job.ExpectFD {
		return 0
	}
	return n.Spec.Expect.FD
}

// signFault says why the descriptor of expect fd cannot be what it is to be.
func (n *Newcomer) signFault(files int) error {
	why := ""
	switch number := n.signNumber(); {
	case number == 0:
	case number < 3+files:
		why = "it is that of a file which the job gets"
	case number == ScriptFD && n.Program.Script != "":
		why = "the shell reads the script from it"
	case number >= firstOwnFD-8:
		why = "it is too high"
	}
	if why == "" {
		return nil
	}
	return &platform.SpawnError{Reason: fmt.Sprintf("unable to set up descriptor %d for expect fd: %s", n.Spec.Expect.FD, why)}
}

// withSign adds the descriptor of expect fd to those of the process.
func (n *Newcomer) withSign(files []uintptr) []uintptr {
	number := n.signNumber()
	if number == 0 {
		return files
	}
	for len(files) <= number {
		files = append(files, ^uintptr(0)) // closed
	}
	files[number] = uintptr(n.sign)
	return files
}
