package posix

import (
	"slices"
	"strconv"
	"strings"

	"onset/core/job"
)

// LastSetting returns the value of the last of some keys among settings, or ""; a key
// may have its controller in front.
func LastSetting(all []job.Setting, controller string, keys ...string) (value string) {
	for _, s := range all {
		if slices.Contains(keys, strings.TrimPrefix(s.Key, controller+".")) {
			value = s.Value
		}
	}
	return value
}

// CgroupBytes reads a size of a cgroup stanza as Linux does: a number with K, M, G, T, P or E.
func CgroupBytes(text string) (uint64, bool) {
	if text == "" {
		return 0, false
	}
	shift := 10 * (1 + strings.IndexByte("KMGTPE", text[len(text)-1]&^0x20))
	if shift > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 0, 64)
	return n << shift, err == nil && n<<shift>>shift == n
}
