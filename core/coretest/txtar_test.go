package coretest

import "strings"

// archive is a text file that holds others: a comment, then for each file a
// line "-- NAME --" and its text.
type archive struct {
	comment string
	files   []file
}

type file struct{ name, text string }

func parseArchive(text string) archive {
	var a archive
	into := &a.comment
	for line := range strings.Lines(text) {
		if name, ok := marker(line); ok {
			a.files = append(a.files, file{name: name})
			into = &a.files[len(a.files)-1].text
			continue
		}
		*into += line
	}
	return a
}

func marker(line string) (name string, ok bool) {
	line = strings.TrimSuffix(line, "\n")
	name, ok = strings.CutPrefix(line, "-- ")
	if ok {
		name, ok = strings.CutSuffix(name, " --")
	}
	return strings.TrimSpace(name), ok && strings.TrimSpace(name) != ""
}

func (a archive) String() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, f := range a.files {
		b.WriteString("-- " + f.name + " --\n" + f.text)
	}
	return b.String()
}

// file returns the text of a file of the archive.
func (a archive) file(name string) (text string, ok bool) {
	for _, f := range a.files {
		if f.name == name {
			return f.text, true
		}
	}
	return "", false
}
