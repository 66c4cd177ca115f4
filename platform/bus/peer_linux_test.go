package bus

// tellsPeers reports whether the kernel tells which process connected.
func tellsPeers() bool { return true }
