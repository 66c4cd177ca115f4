package joblog

// dropsUnread says that what was printed to a terminal and is not read yet is lost
// when nobody has that open any more, after a second.
const dropsUnread = true

// givesBack says that memory can be given back in parts: shared memory of this
// kernel keeps the pages it once had.
const givesBack = false

// giveBack makes pages of an arena zero.
func giveBack(mem []byte) { clear(mem) }
