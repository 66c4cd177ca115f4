// Package env holds environment tables and $VAR expansion (UPSTART §1.6).
//
// A table is an ordered list of KEY=VALUE strings. Order of first insertion
// is kept, because positional match arguments depend on it.
package env

import "strings"

// Table is an environment, each entry KEY=VALUE with KEY unique.
type Table []string

// Key returns the part of an entry before the first '=', or all of it.
func Key(entry string) string {
	key, _, _ := strings.Cut(entry, "=")
	return key
}

// Clone returns a copy that shares no backing array.
func (t Table) Clone() Table { return append(Table(nil), t...) }

// Lookup returns the value of the first entry with that key.
func (t Table) Lookup(key string) (value string, ok bool) {
	if i := t.index(key); i >= 0 {
		return t[i][len(key)+1:], true
	}
	return "", false
}

func (t Table) index(key string) int {
	for i, e := range t {
		if len(e) > len(key) && e[len(key)] == '=' && e[:len(key)] == key {
			return i
		}
	}
	return -1
}

// Set adds a KEY=VALUE entry. A known key is replaced in place when replace
// is set, and left alone otherwise.
func (t Table) Set(entry string, replace bool) Table {
	i := t.index(Key(entry))
	switch {
	case i < 0:
		return append(t, entry)
	case replace:
		t[i] = entry
	}
	return t
}

// Add is Set for entries that may lack a '=': the value is then taken from
// own, the environment of init itself. A name unknown there is removed from
// the table when replace is set, and ignored otherwise.
func (t Table) Add(entry string, replace bool, own Table) Table {
	if strings.Contains(entry, "=") {
		return t.Set(entry, replace)
	}
	if v, ok := own.Lookup(entry); ok {
		return t.Set(entry+"="+v, replace)
	}
	if replace {
		return t.Unset(entry)
	}
	return t
}

// Merge sets every entry of other, later ones winning.
func (t Table) Merge(other []string) Table {
	for _, e := range other {
		t = t.Set(e, true)
	}
	return t
}

// Unset removes the entry with exactly that key (DECISIONS 6).
func (t Table) Unset(key string) Table {
	if i := t.index(key); i >= 0 {
		return append(t[:i:i], t[i+1:]...)
	}
	return t
}
