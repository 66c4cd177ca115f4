package socket

const hasHolders = false
