package linux

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/job"
	"onset/platform/posix"
)

// cgroupKey pairs a file of cgroup v1 with the file of v2 that has its
// meaning; "" is none. to and back make settings of the other version out of a
// value; nil keeps it as it is. They see all settings of the group.
type cgroupKey struct {
	v1, v2   string
	to, back func(value string, all []job.Setting) ([]job.Setting, error)
}

// cgroupKeys are the keys that differ between the versions. docs/CGROUPS.md
// lists them.
var cgroupKeys = []cgroupKey{
	{"memory.limit_in_bytes", "memory.max", words("memory.max", "-1", "max"), words("memory.limit_in_bytes", "max", "-1")},
	{"memory.soft_limit_in_bytes", "memory.low", words("memory.low", "-1", "0"), words("memory.soft_limit_in_bytes", "max", "-1")},
	{"memory.memsw.limit_in_bytes", "memory.swap.max", swapOnly, swapAndMemory},
	{"cpu.shares", "cpu.weight", scaled("cpu.weight", 100, 1024, 1, 10000), scaled("cpu.shares", 1024, 100, 2, 262144)},
	{"cpu.cfs_quota_us", "cpu.max", quotaAndPeriod, quotaThenPeriod},
	{"cpu.cfs_period_us", "cpu.max", quotaAndPeriod, nil},
	{"cpu.cfs_burst_us", "cpu.max.burst", words("cpu.max.burst"), words("cpu.cfs_burst_us")},
	{"blkio.weight", "io.weight", scaled("io.weight", 100, 500, 1, 10000), scaled("blkio.weight", 500, 100, 10, 1000)},
	{"blkio.weight_device", "io.weight", scaled("io.weight", 100, 500, 1, 10000), nil},
	{"blkio.throttle.read_bps_device", "io.max", throttle("rbps"), throttles},
	{"blkio.throttle.write_bps_device", "io.max", throttle("wbps"), nil},
	{"blkio.throttle.read_iops_device", "io.max", throttle("riops"), nil},
	{"blkio.throttle.write_iops_device", "io.max", throttle("wiops"), nil},
	{"freezer.state", "cgroup.freeze", words("cgroup.freeze", "FROZEN", "1", "THAWED", "0"), words("freezer.state", "1", "FROZEN", "0", "THAWED")},
}

// oneSided are keys that only one of the versions has.
var oneSided = map[string]bool{
	"memory.swappiness": true, "memory.oom_control": true, "memory.use_hierarchy": true, "memory.force_empty": true,
	"memory.move_charge_at_immigrate": true, "memory.kmem.limit_in_bytes": true, "memory.kmem.tcp.limit_in_bytes": true,
	"cpu.rt_runtime_us": true, "cpu.rt_period_us": true, "blkio.leaf_weight": true, "blkio.leaf_weight_device": true,
	"cpuset.cpu_exclusive": true, "cpuset.mem_exclusive": true, "cpuset.mem_hardwall": true, "cpuset.memory_migrate": true,
	"cpuset.memory_spread_page": true, "cpuset.memory_spread_slab": true, "cpuset.memory_pressure_enabled": true,
	"cpuset.sched_load_balance": true, "cpuset.sched_relax_domain_level": true,
	"memory.high": true, "memory.min": true, "memory.oom.group": true, "memory.swap.high": true, "memory.zswap.max": true,
	"memory.zswap.writeback": true, "cpu.weight.nice": true, "cpu.uclamp.min": true, "cpu.uclamp.max": true,
	"cpuset.cpus.partition": true, "io.latency": true, "io.bfq.weight": true, "blkio.bfq.weight": true,
}

// controllerNames are the names of a controller in v1 and v2; the freezer is
// no controller in v2, but every group has it.
func controllerNames(controller string) (v1, v2 string) {
	switch controller {
	case "blkio", "io":
		return "blkio", "io"
	case "cpuacct":
		return "cpuacct", "cpu"
	case "freezer":
		return "freezer", "cgroup"
	}
	return controller, controller
}

// translate returns the files that a setting of a group is in a version, with
// their values. known says that some version has such a file: a kernel may then
// do without it.
func translate(v2 bool, controller string, s job.Setting, all []job.Setting) (files []job.Setting, known bool, err error) {
	v1Name, v2Name := controllerNames(controller)
	key := s.Key
	for _, prefix := range []string{v1Name + ".", v2Name + "."} {
		key = strings.TrimPrefix(key, prefix)
	}
	if key == "" || strings.Contains(key, "/") {
		return nil, false, unix.EINVAL
	}
	old, now := v1Name+"."+key, v2Name+"."+key
	if controller == "io" || strings.HasPrefix(s.Key, "io.") {
		old = "" // weights of v2
	}
	isOld := slices.IndexFunc(cgroupKeys, func(k cgroupKey) bool { return k.v1 == old })
	isNow := slices.IndexFunc(cgroupKeys, func(k cgroupKey) bool { return k.v2 == now })
	known = isOld >= 0 || isNow >= 0 || oneSided[old] || oneSided[now]
	switch {
	case v2 && isOld >= 0:
		files, err = cgroupKeys[isOld].to(s.Value, all)
	case !v2 && isOld < 0 && isNow >= 0:
		files, err = cgroupKeys[isNow].back(s.Value, all)
	case controller == "hugetlb":
		files = []job.Setting{{Key: hugetlbKey(v2, now), Value: s.Value}}
	case v2:
		files = []job.Setting{{Key: now, Value: s.Value}}
	default:
		files = []job.Setting{{Key: v1Name + "." + key, Value: s.Value}}
	}
	return files, known, err
}

func hugetlbKey(v2 bool, key string) string {
	if size, ok := strings.CutSuffix(key, ".limit_in_bytes"); ok && v2 {
		return size + ".max"
	}
	if size, ok := strings.CutSuffix(key, ".max"); ok && !v2 {
		return size + ".limit_in_bytes"
	}
	return key
}

// words translates single values, given in pairs.
func words(file string, pairs ...string) func(string, []job.Setting) ([]job.Setting, error) {
	return func(value string, _ []job.Setting) ([]job.Setting, error) {
		for i := 0; i < len(pairs); i += 2 {
			if value == pairs[i] {
				value = pairs[i+1]
				break
			}
		}
		return []job.Setting{{Key: file, Value: value}}, nil
	}
}

// scaled translates weights, so that the default stays the default. The weight
// is the last word of a value: a device or "default" may be before it.
func scaled(file string, mul, div, low, high int) func(string, []job.Setting) ([]job.Setting, error) {
	return func(value string, _ []job.Setting) ([]job.Setting, error) {
		f := strings.Fields(value)
		if len(f) == 0 {
			return nil, unix.EINVAL
		}
		n, err := strconv.Atoi(f[len(f)-1])
		if err != nil || n < 0 || n > 1<<30 {
			return nil, unix.EINVAL
		}
		s := job.Setting{Key: file, Value: strconv.Itoa(min(max((n*mul+div/2)/div, low), high))}
		if len(f) > 1 && f[0] != "default" {
			s.Value = f[0] + " " + s.Value
			s.Key = strings.Replace(s.Key, "blkio.weight", "blkio.weight_device", 1)
		}
		return []job.Setting{s}, nil
	}
}

// quotaAndPeriod makes one value of two files of v1.
func quotaAndPeriod(_ string, all []job.Setting) ([]job.Setting, error) {
	quota, period := posix.LastSetting(all, "cpu", "cfs_quota_us"), posix.LastSetting(all, "cpu", "cfs_period_us")
	if quota == "" || strings.HasPrefix(quota, "-") {
		quota = "max"
	}
	return []job.Setting{{Key: "cpu.max", Value: strings.TrimSpace(quota + " " + period)}}, nil
}

func quotaThenPeriod(value string, _ []job.Setting) ([]job.Setting, error) {
	f := strings.Fields(value)
	if len(f) == 0 || len(f) > 2 {
		return nil, unix.EINVAL
	}
	quota := f[0]
	if quota == "max" {
		quota = "-1"
	}
	files := []job.Setting{{Key: "cpu.cfs_quota_us", Value: quota}}
	if len(f) == 2 {
		files = slices.Insert(files, 0, job.Setting{Key: "cpu.cfs_period_us", Value: f[1]})
	}
	return files, nil
}

// swapOnly takes memory out of the sum that v1 limits.
func swapOnly(value string, all []job.Setting) ([]job.Setting, error) {
	swap := "max"
	if value != "-1" {
		sum, ok := posix.CgroupBytes(value)
		limit, limited := posix.CgroupBytes(posix.LastSetting(all, "memory", "limit_in_bytes", "max"))
		if !ok || !limited || sum < limit {
			return nil, unix.EINVAL // as v1 has it
		}
		swap = strconv.FormatUint(sum-limit, 10)
	}
	return []job.Setting{{Key: "memory.swap.max", Value: swap}}, nil
}

func swapAndMemory(value string, all []job.Setting) ([]job.Setting, error) {
	sum := "-1"
	if value != "max" {
		swap, ok := posix.CgroupBytes(value)
		limit, limited := posix.CgroupBytes(posix.LastSetting(all, "memory", "max", "limit_in_bytes"))
		if !ok || !limited {
			return nil, unix.EINVAL
		}
		sum = strconv.FormatUint(swap+limit, 10)
	}
	return []job.Setting{{Key: "memory.memsw.limit_in_bytes", Value: sum}}, nil
}

// throttle makes "MAJOR:MINOR N" a part of io.max.
func throttle(what string) func(string, []job.Setting) ([]job.Setting, error) {
	return func(value string, _ []job.Setting) ([]job.Setting, error) {
		f := strings.Fields(value)
		if len(f) != 2 {
			return nil, unix.EINVAL
		}
		if f[1] == "0" {
			f[1] = "max"
		}
		return []job.Setting{{Key: "io.max", Value: fmt.Sprintf("%s %s=%s", f[0], what, f[1])}}, nil
	}
}

// throttles is the way back of all four.
func throttles(value string, _ []job.Setting) (files []job.Setting, err error) {
	f := strings.Fields(value)
	names := map[string]string{"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}
	for i := 1; i < len(f); i++ {
		what, limit, _ := strings.Cut(f[i], "=")
		if names[what] == "" {
			return nil, unix.EINVAL
		}
		if limit == "max" {
			limit = "0"
		}
		files = append(files, job.Setting{Key: "blkio.throttle." + names[what] + "_device", Value: f[0] + " " + limit})
	}
	if files == nil {
		return nil, unix.EINVAL
	}
	return files, nil
}
