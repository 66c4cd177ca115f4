package posix

import (
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/env"
	"onset/core/job"
)

// ScriptFD is where a script of several lines is read from.
const ScriptFD = 9

// JobPath is the PATH that jobs of a machine start with (UPSTART §4.3).
const JobPath = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"

// DefaultPath is searched for programs without a PATH, as the C library does.
const DefaultPath = "/bin:/usr/bin"

const (
	shell          = "/bin/sh"
	shellCharacter = "~`!$^&*()=|\\{}[];\"'<>?"
	blanks         = " \t\r\n"
)

// Program is what a process executes.
type Program struct {
	Argv   []string // empty: nothing to execute
	Script string   // what ScriptFD yields; empty without a script there
}

// ProgramOf chooses what to execute for a process (UPSTART §4.1) below a root.
// A script is an argument where it cannot be a file there, or where one of so
// many files that the process gets takes its place.
func ProgramOf(p job.Process, files int, root string) Program {
	text := p.Text
	if !p.Script {
		if !strings.ContainsAny(text, shellCharacter) {
			return Program{Argv: strings.FieldsFunc(text, isBlank)}
		}
		text = "exec " + text
	}
	line, path := strings.TrimRight(text, "\n"), ""
	if strings.Contains(line, "\n") && files <= ScriptFD-3 {
		path = scriptPath(root)
	}
	if path == "" {
		return Program{Argv: []string{shell, "-e", "-c", line, shell}}
	}
	return Program{Argv: []string{shell, "-e", path}, Script: "exec 9<&-\n" + text}
}

func isBlank(r rune) bool { return strings.ContainsRune(blanks, r) }

// Candidates are the paths to try in turn for a program, as execvp does.
func Candidates(name string, environment env.Table) []string {
	if name == "" || strings.Contains(name, "/") {
		return []string{name}
	}
	path, ok := environment.Lookup("PATH")
	if !ok {
		path = DefaultPath
	}
	var paths []string
	for dir := range strings.SplitSeq(path, ":") {
		if dir != "" {
			name := dir + "/" + name
			paths = append(paths, name)
			continue
		}
		paths = append(paths, name)
	}
	return paths
}

// FindProgram returns the first candidate that looks executable and whose
// path is absolute, or "" where only an attempt can tell.
func FindProgram(name string, environment env.Table) string {
	if name == "" {
		return ""
	}
	for _, path := range Candidates(name, environment) {
		switch {
		case strings.Contains(name, "/"):
			return path
		case path[0] != '/':
			return "" // depends on the working directory
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0 {
			return path
		}
	}
	return ""
}
