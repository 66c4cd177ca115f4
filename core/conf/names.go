package conf

import (
	"slices"
	"strings"
)

// Kind says what a file of a configuration directory is.
type Kind uint8

// The kinds of file.
const (
	NotConfig    Kind = iota
	ConfFile          // .conf
	OverrideFile      // .override
	AliasFile         // .alias
)

// Classify returns the kind of a file by its path below the configuration
// directory, and the name of the job or alias (UPSTART §1.1.3, §1.1.4).
// Hidden files are none of ours (DECISIONS 20).
func Classify(rel string) (Kind, string) {
	rel = strings.TrimLeft(rel, "/")
	slash, dot := strings.LastIndexByte(rel, '/'), strings.LastIndexByte(rel, '.')
	if dot <= slash+1 || rel[slash+1] == '.' {
		return NotConfig, ""
	}
	switch rel[dot:] {
	case ".conf":
		return ConfFile, rel[:dot]
	case ".override":
		return OverrideFile, rel[:dot]
	case ".alias":
		return AliasFile, rel[:dot]
	}
	return NotConfig, ""
}

var (
	skippedDirs = []string{"RCS", "CVS", "CVS.adm", "SCCS", "BitKeeper", "{arch}", "_darcs"}
	skippedEnds = []string{"~", ".bak", ".BAK", ".swp", ".swo", ".swn", ",v", ".rpmsave", ".rpmorig", ".rpmnew"}
)

// SkipDir reports whether a directory of that last path component is hidden,
// a backup, or left by a version control or packaging tool (UPSTART §1.1.3).
func SkipDir(base string) bool {
	ends := func(end string) bool { return strings.HasSuffix(base, end) }
	switch {
	case strings.HasPrefix(base, "."), slices.Contains(skippedDirs, base), slices.ContainsFunc(skippedEnds, ends):
		return true
	case len(base) > 1 && base[0] == '#' && base[len(base)-1] == '#':
		return true
	}
	if i := strings.LastIndexByte(base, '.'); i >= 0 && strings.HasPrefix(base[i:], ".dpkg-") {
		return true
	}
	i := strings.LastIndexByte(base, ';')
	return i >= 0 && len(base) == i+9 && strings.Trim(base[i+1:], "0123456789abcdefABCDEF") == ""
}
