//go:build linux

package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestPoorContainers starts init where it has no rights, no devices and then
// not even /proc: jobs run, and all that is missing is said once where the
// maker of the container sees it, by the first of managers.
func TestPoorContainers(t *testing.T) {
	const (
		rights   = `exec setpriv --bounding-set=-sys_admin,-mknod,-sys_resource,-syslog "$0" "$@"`
		devices  = "mount -t tmpfs -o nodev tmpfs /dev; : >/dev/null; "
		noGroups = "umount -l /sys/fs/cgroup; "
	)
	for name, prepare := range map[string]string{
		"no devices":   devices + noGroups + rights,
		"full run":     devices + noGroups + "mount -t tmpfs -o size=8k tmpfs /run; yes >/run/full 2>&- || :; " + rights,
		"read-only":    devices + noGroups + "mount -o remount,ro /dev; mount --bind / /; mount -o remount,bind,ro /; " + rights,
		"nor anything": devices + noGroups + "mount -t tmpfs tmpfs /proc; mount -t tmpfs tmpfs /sys; " + rights,
	} {
		t.Run(name, func(t *testing.T) {
			m := startMachineOn(t, map[string]string{
				"loud.conf":   "console output\ntask\nexec echo to the console\n",
				"script.conf": "task\nscript\n\ttrue\n\texit 0\nend script\n",
				"staged.conf": "nice 1\ntask\nexec true\n",
				"steady.conf": "start on startup\nexec sleep 100000\n",
			}, prepare)
			steady := m.must("status", "steady")
			for range 2 {
				for _, job := range []string{"loud", "script", "staged"} {
					m.must("start", job)
				}
				m.must("version")
				m.killManager()
				m.must("version")
				m.cmd.Process.Signal(syscall.SIGTERM)
				m.must("version")
			}
			if now := m.must("status", "steady"); now != steady {
				t.Errorf("steady was %q, is %q", steady, now)
			}
			m.await("the last output", func() bool { return strings.Count(m.out.String(), "to the console\n") == 2 })
			const lives = 5
			for what, most := range map[string]int{"initialize console": 1, "no cgroups": 1, "log to the system": 1, "create pty": lives} {
				if n := strings.Count(m.out.String(), what); n < 1 || n > most {
					t.Errorf("%q is said %d times", what, n)
				}
			}
		})
	}
}

// TestFewDescriptors starts init with a limit that is far below the kernel's own.
func TestFewDescriptors(t *testing.T) {
	m := startMachineOn(t, map[string]string{
		"plain.conf":  "start on startup\nexec sleep 100000\n",
		"staged.conf": "start on startup\nnice 1\nscript\n\ttrue\n\texec sleep 100000\nend script\n",
	}, "ulimit -n 64")
	for _, job := range []string{"plain", "staged"} {
		m.await(job+" to run", func() bool { return strings.Contains(m.must("status", job), "start/running") })
	}
}
