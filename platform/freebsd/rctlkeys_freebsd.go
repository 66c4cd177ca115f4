package freebsd

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform/posix"
)

// limit is one rule of rctl(8) less its subject.
type limit struct {
	resource string
	actions  []string
	amount   uint64 // in the unit of the resource; unlimited: no rule
}

const unlimited = math.MaxUint64

// What happens at a limit. The kernel looks at resident memory once a second
// and cannot refuse it; the line in its log tells who was killed for that.
var (
	denied    = []string{"deny"}
	throttled = []string{"throttle"}
	killed    = []string{"log", "sigkill"}
)

// resources are those of rctl(8) that a key may name itself. Other ones are
// no matter of memory, time or tasks.
var resources = map[string][]string{
	"memoryuse": killed, "vmemoryuse": denied, "swapuse": denied, "memorylocked": denied, "datasize": denied, "stacksize": denied, "shmsize": denied,
	"pcpu": denied, "maxproc": denied, "nthr": denied,
	"readbps": throttled, "writebps": throttled, "readiops": throttled, "writeiops": throttled,
}

// limitKeys are the files of cgroups that have a counterpart. docs/CGROUPS.md
// lists them.
var limitKeys = map[string]struct {
	resource string
	actions  []string
}{
	"memory.limit_in_bytes": {"memoryuse", killed},
	"memory.max":            {"memoryuse", killed},
	"memory.high":           {"memoryuse", denied},
	"pids.max":              {"nthr", denied},
}

// limitOf translates a setting; ok is false where the kernel has no such
// limit. all are the settings of the group.
func limitOf(controller string, s job.Setting, all []job.Setting) (l limit, ok bool, err error) {
	key := strings.TrimPrefix(s.Key, controller+".")
	if slices.Contains([]string{"cfs_quota_us", "cfs_period_us", "max"}, key) && controller == "cpu" {
		l, err = timeLimit(key, s.Value, all)
		return l, true, err
	}
	if actions := resources[key]; actions != nil {
		l = limit{resource: key, actions: actions}
	} else if known, is := limitKeys[controller+"."+key]; is {
		l = limit{resource: known.resource, actions: known.actions}
	} else {
		return l, false, nil
	}
	if s.Value == "max" || s.Value == "-1" {
		l.amount = unlimited
	} else if l.amount, ok = posix.CgroupBytes(s.Value); !ok || l.amount > math.MaxInt64 {
		return l, true, unix.EINVAL
	}
	return l, true, nil
}

// timeLimit makes per cents of one processor of a quota in a period.
func timeLimit(key, value string, all []job.Setting) (limit, error) {
	l := limit{resource: "pcpu", actions: denied, amount: unlimited}
	quota, period := posix.LastSetting(all, "cpu", "cfs_quota_us"), posix.LastSetting(all, "cpu", "cfs_period_us")
	if key == "max" {
		f := append(strings.Fields(value), "")
		quota, period = f[0], f[1]
	}
	if quota == "" || quota == "max" || quota[0] == '-' {
		return l, nil
	}
	if period == "" {
		period = "100000"
	}
	used, err := strconv.ParseUint(quota, 10, 32)
	of, failed := strconv.ParseUint(period, 10, 32)
	if err != nil || failed != nil || of == 0 {
		return l, unix.EINVAL
	}
	l.amount = max(used*100/of, 1)
	return l, nil
}
