package seccomp

import (
	"cmp"
	"fmt"
	"slices"
)

// Instruction is one of the kernel's struct sock_filter.
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// The instructions in use (linux/bpf_common.h).
const (
	load      = 0x20 // a word of the data of the call
	and       = 0x54
	jump      = 0x05
	ifEqual   = 0x15
	ifGreater = 0x25
	ifAtLeast = 0x35
	ret       = 0x06
)

// Where the data of a call has what (struct seccomp_data).
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
	maxArgs      = 6
)

// maxTable is about how many calls an architecture has.
const maxTable = 512

// maxProgram is the kernel's limit.
const maxProgram = 4096

// x32 begins the numbers of a second interface of the amd64, and noCall is
// that of a call that a tracer took back.
const (
	x32    = 0x40000000
	noCall = 0xffffffff
)

// call is what is decided about a system call.
type call struct {
	number  uint32
	decided bool // action counts; else the first of rules that matches, and the default action last
	action  uint32
	rules   []match
}

type match struct {
	args   []arg
	action uint32
}

// Compile makes a program of a profile. An error tells where in the text it is.
func Compile(text string, m Machine) (*Filter, error) {
	p, err := parse(text)
	if err != nil {
		return nil, err
	}
	fallback, err := action(p.DefaultAction, p.DefaultErrnoRet, "defaultAction", "defaultErrnoRet")
	if err != nil {
		return nil, err
	}
	if p.ListenerPath != "" || p.ListenerMetadata != "" {
		return nil, fmt.Errorf("listenerPath: not supported")
	}
	list, err := p.archs(&m)
	if err != nil {
		return nil, err
	}
	f := &Filter{}
	if f.Flags, err = p.flags(); err != nil {
		return nil, err
	}
	f.Program = []Instruction{{Code: load, K: offsetArch}}
	for _, a := range list {
		calls, err := p.decide(a, &m, fallback)
		if err != nil {
			return nil, err
		}
		block := append([]Instruction{{Code: load, K: offsetNumber}}, a.tree(a.segments(calls, fallback), fallback)...)
		f.Program = append(f.Program, unless(ifEqual, a.audit, len(block))...)
		f.Program = append(f.Program, block...)
	}
	f.Program = append(f.Program, Instruction{Code: ret, K: retKillThread})
	if len(f.Program) > maxProgram {
		return nil, errLong
	}
	return f, nil
}

var errLong = fmt.Errorf("more instructions than the %d that the kernel takes", maxProgram)

// decide applies the rules in their order. Far too many are an error before
// instructions are made of them.
func (p *profile) decide(a *arch, m *Machine, fallback uint32) ([]*call, error) {
	column := a.column()
	calls := make(map[int]*call, maxTable)
	rules := 0 // of all calls
	for i := range p.Syscalls {
		r, path := &p.Syscalls[i], fmt.Sprintf("syscalls[%d]", i)
		act, err := action(r.Action, r.ErrnoRet, path+".action", path+".errnoRet")
		if err != nil {
			return nil, err
		}
		matches, err := r.matches(act, path)
		if err != nil {
			return nil, err
		}
		names := r.Names
		if r.Name != "" {
			names = append(slices.Clone(names), r.Name)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%s.names: none", path)
		}
		if act == fallback || !r.counts(m) {
			continue
		}
		for k, name := range names {
			line := lookUp(name)
			if line == "" && (fallback == retAllow || fallback == retLog) {
				return nil, fmt.Errorf("%s.names[%d]: unknown system call %q", path, k, name)
			}
			n := number(line, column)
			if n < 0 {
				continue
			}
			if calls[n] == nil {
				calls[n] = &call{number: uint32(n)}
			}
			rules -= len(calls[n].rules)
			calls[n].add(act, matches)
			if rules += len(calls[n].rules); rules > maxProgram {
				return nil, errLong
			}
		}
	}
	list := make([]*call, 0, len(calls))
	for _, c := range calls {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *call) int { return cmp.Compare(a.number, b.number) })
	return list, nil
}

func (c *call) add(action uint32, matches []match) {
	switch {
	case c.decided:
	case len(matches) == 0:
		c.decided, c.action, c.rules = true, action, nil
	default:
		c.rules = append(c.rules, matches...)
	}
}

// matches returns the conditions on args, none if there is none.
func (r *rule) matches(action uint32, path string) ([]match, error) {
	var seen [maxArgs]bool
	twice := false
	for i, a := range r.Args {
		switch {
		case a.Index >= maxArgs:
			return nil, fmt.Errorf("%s.args[%d].index: %d is out of range", path, i, a.Index)
		case a.test(false) == nil:
			return nil, fmt.Errorf("%s.args[%d].op: unknown operator %q", path, i, a.Op)
		}
		twice = twice || seen[a.Index]
		seen[a.Index] = true
	}
	if len(r.Args) == 0 {
		return nil, nil
	}
	if !twice {
		return []match{{r.Args, action}}, nil
	}
	var list []match
	for i := range r.Args {
		list = append(list, match{r.Args[i : i+1], action})
	}
	return list, nil
}

// segment is what is decided from a number on, up to the next segment.
type segment struct {
	from uint32
	call *call
}

// segments covers all numbers.
func (a *arch) segments(calls []*call, fallback uint32) []segment {
	def := &call{decided: true, action: fallback}
	list := []segment{{0, def}}
	add := func(from uint32, c *call) {
		last := &list[len(list)-1]
		switch {
		case last.from == from:
			last.call = c
		case !last.call.decided || !c.decided || last.call.action != c.action:
			list = append(list, segment{from, c})
			return
		}
		if n := len(list); n > 1 && list[n-2].call.decided && c.decided && list[n-2].call.action == c.action {
			list = list[:n-1]
		}
	}
	for _, c := range calls {
		add(c.number, c)
		add(c.number+1, def)
	}
	if a.name == "amd64" {
		add(x32, &call{decided: true, action: retKillThread})
		add(noCall, def)
	}
	return list
}

// tree looks the number in the accumulator up in segments.
func (a *arch) tree(list []segment, fallback uint32) []Instruction {
	if len(list) == 1 {
		return a.leaf(list[0].call, fallback)
	}
	middle := len(list) / 2
	low := a.tree(list[:middle], fallback)
	code := whenever(ifAtLeast, list[middle].from, len(low))
	return slices.Concat(code, low, a.tree(list[middle:], fallback))
}

// whenever skips n instructions if the comparison holds.
func whenever(comparison uint16, k uint32, n int) []Instruction {
	if n <= 255 {
		return []Instruction{{Code: comparison, K: k, JT: uint8(n)}}
	}
	return []Instruction{{Code: comparison, K: k, JF: 1}, {Code: jump, K: uint32(n)}}
}

// unless skips n instructions if the comparison does not hold.
func unless(comparison uint16, k uint32, n int) []Instruction {
	if n <= 255 {
		return []Instruction{{Code: comparison, K: k, JF: uint8(n)}}
	}
	return []Instruction{{Code: comparison, K: k, JT: 1}, {Code: jump, K: uint32(n)}}
}

func (a *arch) leaf(c *call, fallback uint32) []Instruction {
	if c.decided {
		return []Instruction{{Code: ret, K: c.action}}
	}
	var code []Instruction
	for _, r := range c.rules {
		code = append(code, a.rule(r)...)
	}
	return append(code, Instruction{Code: ret, K: fallback})
}

// rule returns the action if all args match, and runs into what follows
// otherwise. It is made from its end.
func (a *arch) rule(r match) []Instruction {
	code := []Instruction{{Code: ret, K: r.action}}
	for _, arg := range slices.Backward(r.args) {
		test := arg.test(a.bigEndian())
		for i := range test {
			here := len(test) - 1 - i // instructions of the test behind this one
			test[i].JT, test[i].JF = resolve(test[i].JT, here, len(code)), resolve(test[i].JF, here, len(code))
		}
		code = append(test, code...)
	}
	return code
}

// Where the jumps of a test lead, until resolve says how far that is.
const (
	next = iota
	yes
	no
)

func resolve(to uint8, behind, rest int) uint8 {
	switch to {
	case yes:
		return uint8(behind)
	case no:
		return uint8(behind + rest)
	}
	return 0
}

// test compares an argument, in two halves; nil for an unknown operator.
func (x *arg) test(bigEndian bool) []Instruction {
	value, mask := x.Value, ^uint64(0)
	if x.Op == "SCMP_CMP_MASKED_EQ" {
		value, mask = x.ValueTwo, x.Value
	}
	offset := uint32(offsetArgs + 8*int(x.Index))
	low := []Instruction{{Code: load, K: offset}}
	high := []Instruction{{Code: load, K: offset + 4}}
	if bigEndian {
		low, high = high, low
	}
	if mask != ^uint64(0) {
		low, high = append(low, Instruction{Code: and, K: uint32(mask)}), append(high, Instruction{Code: and, K: uint32(mask >> 32)})
	}
	lo, hi := uint32(value), uint32(value>>32)
	equalHigh := func(other uint8) Instruction { return Instruction{Code: ifEqual, K: hi, JT: next, JF: other} }
	greater := func(t, f uint8) []Instruction {
		return slices.Concat(high, []Instruction{{Code: ifGreater, K: hi, JT: t, JF: next}, equalHigh(f)}, low)
	}
	switch x.Op {
	case "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ":
		return slices.Concat(high, []Instruction{equalHigh(no)}, low, []Instruction{{Code: ifEqual, K: lo, JT: yes, JF: no}})
	case "SCMP_CMP_NE":
		return slices.Concat(high, []Instruction{equalHigh(yes)}, low, []Instruction{{Code: ifEqual, K: lo, JT: no, JF: yes}})
	case "SCMP_CMP_GT":
		return append(greater(yes, no), Instruction{Code: ifGreater, K: lo, JT: yes, JF: no})
	case "SCMP_CMP_GE":
		return append(greater(yes, no), Instruction{Code: ifAtLeast, K: lo, JT: yes, JF: no})
	case "SCMP_CMP_LT":
		return append(greater(no, yes), Instruction{Code: ifAtLeast, K: lo, JT: no, JF: yes})
	case "SCMP_CMP_LE":
		return append(greater(no, yes), Instruction{Code: ifGreater, K: lo, JT: no, JF: yes})
	}
	return nil
}
