package linux

import (
	"strings"
	"testing"

	"onset/core/job"
)

// TestTranslate writes what a group has in either version: stanza lines, then
// file=value.
func TestTranslate(t *testing.T) {
	for _, c := range []struct{ lines, v2, v1 string }{
		{"memory limit_in_bytes 100M", "memory.max=100M", "memory.limit_in_bytes=100M"},
		{"memory memory.limit_in_bytes -1", "memory.max=max", "memory.limit_in_bytes=-1"},
		{"memory max 100M", "memory.max=100M", "memory.limit_in_bytes=100M"},
		{"memory memory.max max", "memory.max=max", "memory.limit_in_bytes=-1"},
		{"memory soft_limit_in_bytes 5000", "memory.low=5000", "memory.soft_limit_in_bytes=5000"},
		{"memory high 1G", "memory.high=1G", "memory.high=1G?"},
		{"memory swappiness 10", "memory.swappiness=10?", "memory.swappiness=10"},
		{"memory limit_in_bytes 1M;memory memsw.limit_in_bytes 3M", "memory.max=1M memory.swap.max=2097152", "memory.limit_in_bytes=1M memory.memsw.limit_in_bytes=3M"},
		{"memory limit_in_bytes 1M;memory memsw.limit_in_bytes -1", "memory.max=1M memory.swap.max=max", "memory.limit_in_bytes=1M memory.memsw.limit_in_bytes=-1"},
		{"memory memsw.limit_in_bytes 3M", "EINVAL", "memory.memsw.limit_in_bytes=3M"},
		{"memory max 0x100000;memory swap.max 1K", "memory.max=0x100000 memory.swap.max=1K", "memory.limit_in_bytes=0x100000 memory.memsw.limit_in_bytes=1049600"},
		{"cpu shares 1024", "cpu.weight=100", "cpu.shares=1024"},
		{"cpu shares 2", "cpu.weight=1", "cpu.shares=2"},
		{"cpu shares 512", "cpu.weight=50", "cpu.shares=512"},
		{"cpu shares much", "EINVAL", "cpu.shares=much"},
		{"cpu weight 10000", "cpu.weight=10000", "cpu.shares=102400"},
		{"cpu cfs_quota_us 50000", "cpu.max=50000", "cpu.cfs_quota_us=50000"},
		{"cpu cfs_period_us 20000;cpu cfs_quota_us 10000", "cpu.max=10000 20000 cpu.max=10000 20000", "cpu.cfs_period_us=20000 cpu.cfs_quota_us=10000"},
		{"cpu cfs_quota_us -1", "cpu.max=max", "cpu.cfs_quota_us=-1"},
		{"cpu max max", "cpu.max=max", "cpu.cfs_quota_us=-1"},
		{"cpu cpu.max 5000 10000", "cpu.max=5000 10000", "cpu.cfs_period_us=10000 cpu.cfs_quota_us=5000"},
		{"blkio weight 500", "io.weight=100", "blkio.weight=500"},
		{"io weight 100", "io.weight=100", "blkio.weight=500"},
		{"io io.weight 8:0 200", "io.weight=8:0 200", "blkio.weight_device=8:0 1000"},
		{"io weight default 100", "io.weight=default 100", "blkio.weight=500"},
		{"blkio weight_device 8:0 250", "io.weight=8:0 50", "blkio.weight_device=8:0 250"},
		{"blkio throttle.read_bps_device 8:0 1000", "io.max=8:0 rbps=1000", "blkio.throttle.read_bps_device=8:0 1000"},
		{"blkio throttle.write_iops_device 8:0 0", "io.max=8:0 wiops=max", "blkio.throttle.write_iops_device=8:0 0"},
		{"io max 8:0 wbps=7 riops=max", "io.max=8:0 wbps=7 riops=max", "blkio.throttle.write_bps_device=8:0 7 blkio.throttle.read_iops_device=8:0 0"},
		{"cpuset cpus 0-1", "cpuset.cpus=0-1", "cpuset.cpus=0-1"},
		{"pids max 10", "pids.max=10", "pids.max=10"},
		{"freezer state FROZEN", "cgroup.freeze=1", "freezer.state=FROZEN"},
		{"freezer freeze 0", "cgroup.freeze=0", "freezer.state=THAWED"},
		{"hugetlb 2MB.limit_in_bytes 4M", "hugetlb.2MB.max=4M", "hugetlb.2MB.limit_in_bytes=4M"},
		{"hugetlb hugetlb.2MB.max 4M", "hugetlb.2MB.max=4M", "hugetlb.2MB.limit_in_bytes=4M"},
		{"memory ../../x 1", "EINVAL", "EINVAL"},
		{"memory memory. 1", "EINVAL", "EINVAL"},
		{"net_cls classid 1", "net_cls.classid=1", "net_cls.classid=1"},
	} {
		if got := translateLines(true, c.lines); got != c.v2 {
			t.Errorf("%s: %q on v2, want %q", c.lines, got, c.v2)
		}
		if got := translateLines(false, c.lines); got != c.v1 {
			t.Errorf("%s: %q on v1, want %q", c.lines, got, c.v1)
		}
	}
}

// translateLines marks a file that only the other version has with "?".
func translateLines(v2 bool, lines string) string {
	controller, settings := "", []job.Setting{}
	for line := range strings.SplitSeq(lines, ";") {
		f := strings.SplitN(line, " ", 3)
		controller = f[0]
		settings = append(settings, job.Setting{Key: f[1], Value: f[2]})
	}
	var out []string
	for _, s := range settings {
		files, _, err := translate(v2, controller, s, settings)
		if err != nil {
			return "EINVAL"
		}
		for _, f := range files {
			text := f.Key + "=" + f.Value
			if oneSided[f.Key] && v2 != (f.Key == "memory.high") {
				text += "?"
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, " ")
}
