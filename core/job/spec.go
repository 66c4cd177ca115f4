package job

import "onset/core/env"

// Spec is everything a back end needs to start one process of a job: what
// the class asks for, with patterns expanded and defaults filled in. Ids and
// paths are names still; they are resolved where the process will live.
type Spec struct {
	Job, Instance string
	Slot          Slot
	Process       Process
	Env           env.Table

	// Attrs are the attributes of the class. The security slot uses only
	// the console (UPSTART §4.3 step 8). Console log is none when logging
	// is off, AppArmor and cgroup names are expanded.
	Attrs      Attrs
	Root       string // chroot session; applied before Attrs.Chroot
	InheritCwd bool   // without chdir: session init keeps its directory
	LogPath    string // of console log
	Expect     Expect // of main; trace with fork and daemon
	Files      []int  // descriptor references of events, of facts and from the store, for this job only
	// ListenNames name the Files of main for sd_listen_fds(3).
	ListenNames []string
	Debug       bool // stop before exec
}
