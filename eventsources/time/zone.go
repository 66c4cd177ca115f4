package timers

import (
	"os"
	"time"
)

// systemZone reads the zone of the system, unless the file is the same as
// before. TZ in the environment goes before the file (tzset(3)).
func systemZone(name string, before os.FileInfo) (*time.Location, os.FileInfo) {
	if os.Getenv("TZ") != "" {
		return time.Local, before
	}
	info, err := os.Stat(name)
	if err != nil || before != nil && os.SameFile(before, info) && info.ModTime().Equal(before.ModTime()) {
		return time.Local, before
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return time.Local, before
	}
	zone, err := time.LoadLocationFromTZData("Local", text)
	if err != nil {
		return time.Local, before
	}
	return zone, info
}

// findZone finds a zone once.
func (r *run) findZone(name string) (zone *time.Location, err error) {
	if zone = r.zones[name]; zone == nil {
		if zone, err = findZone(name); err == nil {
			r.zones[name] = zone
		}
	}
	return zone, err
}
