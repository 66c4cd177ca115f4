package seccomp

import "fmt"

// data is what the kernel tells a filter of a call.
type data struct {
	number, arch uint32
	args         [maxArgs]uint64
}

// word returns what a load at an offset yields on a little-endian machine.
func (d *data) word(offset uint32) uint32 {
	switch {
	case offset == offsetNumber:
		return d.number
	case offset == offsetArch:
		return d.arch
	case offset < offsetArgs || offset >= offsetArgs+8*maxArgs || offset%4 != 0:
		panic(fmt.Sprintf("load at %d", offset))
	}
	arg := d.args[(offset-offsetArgs)/8]
	if offset%8 != 0 {
		return uint32(arg >> 32)
	}
	return uint32(arg)
}

// run returns the verdict of a program, as the kernel's interpreter would.
func run(program []Instruction, d data) uint32 {
	var a uint32
	for pc := 0; ; pc++ {
		i := program[pc]
		branch := func(is bool) {
			if is {
				pc += int(i.JT)
			} else {
				pc += int(i.JF)
			}
		}
		switch i.Code {
		case load:
			a = d.word(i.K)
		case and:
			a &= i.K
		case jump:
			pc += int(i.K)
		case ifEqual:
			branch(a == i.K)
		case ifGreater:
			branch(a > i.K)
		case ifAtLeast:
			branch(a >= i.K)
		case ret:
			return i.K
		default:
			panic(fmt.Sprintf("instruction %#x", i.Code))
		}
	}
}
