package socket

const (
	hasHolders  = false
	allTakeEach = false // with SO_REUSEADDR
)
