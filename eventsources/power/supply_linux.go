package power

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onset/eventsources"
)

// supply is one of the kernel's power supplies
// (Documentation/ABI/testing/sysfs-class-power).
type supply struct {
	name, kind    string
	online        bool // of mains
	status, level string
	capacity      int // percent; -1 = unknown
	alert         int // percent at which it is low
}

// alertDefault is for batteries that do not say when they are low.
const alertDefault = 10

// readSupplies reads those of the machine, not those of mice and the like.
func readSupplies(dir string) (list []supply, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, e := range entries {
		get := func(name string) string {
			b, _ := os.ReadFile(filepath.Join(dir, e.Name(), name))
			return strings.TrimSpace(string(b))
		}
		if get("scope") == "Device" || get("present") == "0" {
			continue
		}
		s := supply{name: eventsources.Printable(e.Name()), kind: get("type"), online: strings.Trim(get("online"), "0") != "", status: get("status"),
			level: get("capacity_level"), capacity: -1, alert: alertDefault}
		if n, err := strconv.Atoi(get("capacity")); err == nil {
			s.capacity = n
		}
		if n, err := strconv.Atoi(get("capacity_alert_min")); err == nil && n > 0 {
			s.alert = n
		}
		list = append(list, s)
	}
	return list, nil
}

// onMains reports whether the machine need not live on a battery: mains are
// there, or nothing says that they are not.
func onMains(list []supply) bool {
	off := false
	for _, s := range list {
		switch {
		case s.kind != "Mains" && s.kind != "USB":
		case s.online:
			return true
		case s.kind == "Mains":
			off = true
		}
	}
	return !off && !slices.ContainsFunc(list, supply.discharging)
}

func (s supply) discharging() bool { return s.kind == "Battery" && s.status == "Discharging" }

// The charge of a battery as LEVEL of battery-low has it.
const (
	enough = iota
	low
	critical
)

var levelWords = [...]string{low: "low", critical: "critical"}

// charge tells how low a battery is; one that is charged has enough.
func (s supply) charge() int {
	switch {
	case !s.discharging():
		return enough
	case s.level == "Critical":
		return critical
	case s.level == "Low" || s.capacity >= 0 && s.capacity <= s.alert:
		return low
	}
	return enough
}
