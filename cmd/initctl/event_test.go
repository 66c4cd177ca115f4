package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

func TestEmit(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "waits", line: "initctl emit go A=1 B=2", more: answers{"/ EmitEvent go [A=1 B=2] true": done}},
		{why: "need not", line: "emit --no-wait go", more: answers{"/ EmitEvent go [] false": done}},
		{why: "fails with a job", line: "emit go", more: answers{"/ EmitEvent go [] true": control.EventFailed()}, stderr: "emit: Event failed\n", status: 1},
	})
}

func TestFacts(t *testing.T) {
	type row struct {
		Name  string
		Env   []string
		Owner string
	}
	held := answers{"/ GetFacts": []row{{"ac-power", []string{}, "uid 0"}, {"net", []string{"IFACE=eth0", "UP=y"}, "source 3"}}}
	runToolTests(t, []toolTest{
		{why: "set", line: "initctl fact set ac-power A=1", more: answers{"/ SetFact ac-power [A=1]": done}},
		{why: "clear", line: "initctl fact clear ac-power", more: answers{"/ ClearFact ac-power []": done}},
		{why: "something else", line: "initctl fact shave x", stderr: "initctl: illegal argument: shave\n" + hint, status: 1},
		{why: "without a name", line: "initctl fact set", stderr: "initctl: missing fact name\n" + hint, status: 1},
		{why: "listed", line: "initctl facts", more: held, stdout: "ac-power (uid 0)\nnet IFACE=eth0 UP=y (source 3)\n"},
		{why: "none as JSON", line: "initctl facts --json", more: answers{"/ GetFacts": []row{}}, stdout: "[]\n"},
	})
}

func TestDaemonCommands(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "reload-configuration", line: "initctl reload-configuration", more: answers{"/ ReloadConfiguration": done}},
		{why: "log-priority", line: "initctl log-priority", more: answers{"/ Get com.ubuntu.Upstart0_6 log_priority": dbus.MakeVariant("info")}, stdout: "info\n"},
		{why: "log-priority set", line: "initctl log-priority debug", more: answers{"/ Set com.ubuntu.Upstart0_6 log_priority debug": done}},
		{why: "notify-disk-writeable", line: "initctl notify-disk-writeable", more: answers{"/ NotifyDiskWriteable": done}},
		{why: "notify-dbus-address", line: "initctl notify-dbus-address x", more: answers{"/ NotifyDBusAddress x": done}},
		{why: "notify-dbus-address without", line: "initctl notify-dbus-address", stderr: "initctl: missing D-Bus address\n" + hint, status: 1},
		{why: "notify-cgroup-manager-address", line: "initctl notify-cgroup-manager-address x", more: answers{"/ NotifyCGroupManagerAddress x": done}},
		{why: "notify-cgroup-manager-address without", line: "initctl notify-cgroup-manager-address", stderr: "initctl: missing address\n" + hint, status: 1},
	})
}

func TestWhy(t *testing.T) {
	t.Setenv("TZ", "UTC")
	const history = `[
{"time":"2026-01-02T03:04:07.5Z","action":"ready","instance":"a","causes":[
 {"time":"2026-01-02T03:04:06Z","kind":"event","text":"event go"},
 {"time":"2026-01-02T03:04:05Z","kind":"request","text":"emit go","uid":0,"pid":42,"command":"initctl emit go"}]},
{"time":"2026-01-02T03:04:06Z","action":"start","instance":"a","causes":[]},
{"time":"2026-01-02T03:04:01Z","action":"stop","instance":"","causes":[]}]`
	const last = "2026-01-02 03:04:07.500  inst (a) ready\n" +
		"2026-01-02 03:04:06.000    event go\n" +
		"2026-01-02 03:04:05.000      emit go (uid 0, pid 42: initctl emit go)\n"
	const turned = `[
{"time":"2026-01-02T03:04:09Z","action":"refuse","instance":"","causes":[]},
{"time":"2026-01-02T03:04:08Z","action":"skip","instance":"","causes":[]},
{"time":"2026-01-02T03:04:07Z","action":"ready","instance":"","causes":[]},
{"time":"2026-01-02T03:04:06Z","action":"refuse","instance":"","causes":[]},
{"time":"2026-01-02T03:04:05Z","action":"refuse","instance":"a","causes":[]}]`
	a := answers{"/ Why [inst]": history, "/ Why [bar]": "[]", "/ Why [inst a]": "{", "/ Why [turned]": turned}
	runToolTests(t, []toolTest{
		{why: "the last change of each instance", line: "initctl why inst", more: a, stdout: last + "2026-01-02 03:04:01.000  inst stop\n"},
		{why: "all", line: "initctl why -a inst", more: a,
			stdout: last + "2026-01-02 03:04:06.000  inst (a) start\n2026-01-02 03:04:01.000  inst stop\n"},
		{why: "what changed nothing does not hide the last change", line: "initctl why turned", more: a,
			stdout: "2026-01-02 03:04:09.000  turned refuse\n2026-01-02 03:04:07.000  turned ready\n2026-01-02 03:04:05.000  turned (a) refuse\n"},
		{why: "nothing yet", line: "initctl why bar", more: a, stdout: "bar: nothing has happened to it\n"},
		{why: "JSON as it came", line: "initctl why --json inst", more: a, stdout: history + "\n"},
		{why: "of an instance, garbage", line: "initctl why inst a", more: a, stderr: "initctl: Unexpected reply from init\n", status: 1},
		{why: "of nothing", line: "initctl why", stderr: "initctl: missing job name\n" + hint, status: 1},
	})
}

func TestListSessions(t *testing.T) {
	run := t.TempDir()
	env := map[string]string{"XDG_RUNTIME_DIR": run}
	f := &fake{}
	if got := f.runTool([]string{"initctl", "list-sessions"}, env); got != (result{}) {
		t.Errorf("without directory: %+v", got)
	}
	dir := filepath.Join(run, "upstart", "sessions")
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", st, err)
	}
	live := strconv.Itoa(os.Getpid())
	for name, text := range map[string]string{
		live + ".session": "UPSTART_SESSION=unix:abstract=/x/" + live + "\n", "2147483647.session": "UPSTART_SESSION=x\n",
		"x.session": "UPSTART_SESSION=y", live + ".other": "UPSTART_SESSION=z", "1.session": "nothing",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stale := filepath.Join(dir, "2147483647.session")
	want := result{live + " unix:abstract=/x/" + live + "\n", "", 0}
	want.stdout = want.stdout + "Ignoring stale session file: " + stale + "\n"
	if live > "2147483647" { // in the order of names
		want.stdout = "Ignoring stale session file: " + stale + "\n" + live + " unix:abstract=/x/" + live + "\n"
	}
	if got := f.runTool([]string{"initctl", "list-sessions", "-v"}, env); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) { // DECISIONS 23
		t.Errorf("stale session file: %v", err)
	}
	none := result{"", "initctl: Unable to query session directory\n", 1}
	if got := f.runTool([]string{"initctl", "list-sessions"}, map[string]string{"XDG_RUNTIME_DIR": "run"}); got != none {
		t.Errorf("without XDG_RUNTIME_DIR: %+v", got)
	}
}
