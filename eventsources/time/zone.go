package timers

import (
	"os"
	"time"
)

// zoneFile is the zone of the system (localtime(5)).
const zoneFile = "/etc/localtime"

// systemZone reads the zone of the system unless the file is the same.
func systemZone(before os.FileInfo) (*time.Location, os.FileInfo) {
	if os.Getenv("TZ") != "" {
		return time.Local, before
	}
	info, err := os.Stat(zoneFile)
	if err != nil || before != nil && os.SameFile(before, info) && info.ModTime().Equal(before.ModTime()) {
		return time.Local, before
	}
	text, err := os.ReadFile(zoneFile)
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
