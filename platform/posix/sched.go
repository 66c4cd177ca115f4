package posix

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuList reads a list like "0,2-5".
func cpuList(text string) (list []int, err error) {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		low, high, is := strings.Cut(part, "-")
		if !is {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 16)
		last, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || first > last {
			return nil, unix.EINVAL
		}
		for cpu := first; cpu <= last; cpu++ {
			list = append(list, int(cpu))
		}
	}
	return list, nil
}

// scheduling sets policy, processors and i/o priority (EXTENSIONS §6).
func (s *stage) scheduling() *SetupError {
	for _, set := range []func() error{s.policy, s.affinity, s.ioprio} {
		if err := set(); err != nil {
			return fault(StepScheduling, err)
		}
	}
	return nil
}

func (s *stage) affinity() error {
	if s.Isolation.CPUAffinity == "" {
		return nil
	}
	list, err := cpuList(s.Isolation.CPUAffinity)
	if err != nil {
		return err
	}
	return runOn(list)
}
