package joblog

import "golang.org/x/sys/unix"

// dropsUnread says that what was printed to a terminal and is not read yet is lost
// when nobody has that open any more.
const dropsUnread = false

// givesBack says that memory can be given back in parts.
const givesBack = true

// giveBack makes pages of an arena zero, which then take no memory.
func giveBack(mem []byte) {
	if unix.Madvise(mem, unix.MADV_REMOVE) != nil {
		clear(mem)
	}
}
