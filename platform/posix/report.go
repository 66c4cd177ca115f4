package posix

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// reportHead is step, limit, length of the text and error number.
const reportHead = 7

// Report is the reading end of what an exec stage reports on: failures as
// records, the execution by closing it.
type Report struct {
	FD     int
	Notice func(string) // of what the job has to do without; may be nil
	data   []byte
}

// Read takes what is there. Done says that the stage is over: with a fault,
// or because the program runs. Warnings go to warn.
func (r *Report) Read(warn func(string)) (fault *SetupError, done bool) {
	var buf [512]byte
	for {
		n, err := unix.Read(r.FD, buf[:])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return r.parse(warn), err != unix.EAGAIN
		}
		r.data = append(r.data, buf[:n]...)
	}
}

func (r *Report) parse(warn func(string)) *SetupError {
	for len(r.data) >= reportHead && len(r.data) >= reportHead+int(r.data[2]) {
		end := reportHead + int(r.data[2])
		e := &SetupError{
			Step: Step(r.data[0]), Arg: r.data[1],
			Errno: unix.Errno(binary.LittleEndian.Uint32(r.data[3:])),
			Text:  string(r.data[reportHead:end]),
		}
		r.data = r.data[end:]
		switch {
		case e.Step == StepConsoleWarning:
			warn(e.Error())
		case e.Step != StepNotice:
			return e
		case r.Notice != nil:
			r.Notice(e.Error())
		}
	}
	return nil
}

// send writes a record. It needs no memory.
func (e *SetupError) send(fd int) {
	var b [reportHead + 255]byte
	b[0], b[1] = byte(e.Step), e.Arg
	b[2] = byte(copy(b[reportHead:], e.Text))
	binary.LittleEndian.PutUint32(b[3:], uint32(e.Errno))
	unix.Write(fd, b[:reportHead+int(b[2])])
}
