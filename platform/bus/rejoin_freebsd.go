package bus

// socketPaths returns none: nothing tells when a file appears.
func socketPaths(string) []string { return nil }

func watchFor(string) (int, func() bool) { return -1, nil }
