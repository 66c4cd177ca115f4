package watch

// answer is what a kernel says when asked whether a file is being written.
type answer uint8

const (
	unknown answer = iota
	no
	yes
)
