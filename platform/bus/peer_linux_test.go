package bus

// peeksRights says that who peeks at a message gets its descriptors.
const peeksRights = true

// tellsPeers reports whether the kernel tells which process connected.
func tellsPeers() bool { return true }
