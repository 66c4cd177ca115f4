package posix

// scriptPath is the file that ScriptFD is in the process itself.
func scriptPath(string) string { return "/proc/self/fd/9" }
