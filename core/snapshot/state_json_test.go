package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"onset/core/engine"
	"onset/core/job"
)

var jsonOptions = func() engine.Options {
	o := options
	o.ChrootSessions = false
	o.Signals = append(job.Signals{{Name: "INT", Number: 2}, {Name: "USR1", Number: 10}}, o.Signals...)
	return o
}()

func sample(t testing.TB) []byte {
	data, err := os.ReadFile("testdata/upstart.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readState(t testing.TB, data []byte) (*engine.State, []string) {
	t.Helper()
	s, warnings, err := ReadState(data, jsonOptions)
	if err != nil {
		t.Fatal(err)
	}
	return s, warnings
}

func writeState(t testing.TB, s *engine.State) []byte {
	t.Helper()
	data, err := WriteState(s)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Fatalf("no JSON: %s", data)
	}
	return data
}

func parse(t testing.TB, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// missing returns what want has and got has not, at any depth.
func missing(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		var out []string
		for _, key := range slices.Sorted(maps.Keys(want)) {
			out = append(out, missing(path+"."+key, want[key], g[key])...)
		}
		return out
	case []any:
		g, _ := got.([]any)
		if len(g) == len(want) {
			var out []string
			for i := range want {
				out = append(out, missing(fmt.Sprintf("%s[%d]", path, i), want[i], g[i])...)
			}
			return out
		}
	}
	if reflect.DeepEqual(want, got) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %v became %v", path, want, got)}
}

func TestEveryFieldOfAnUpstartStateComesBack(t *testing.T) {
	s, warnings := readState(t, sample(t))
	if warnings != nil {
		t.Errorf("warnings %q", warnings)
	}
	got := missing("", parse(t, sample(t)), parse(t, writeState(t, s)))
	want := []string{ // what belongs to the platform
		".job_classes[0].cgroups[0].names[0].expanded: <nil> became web/$SITE",
		".job_classes[0].jobs[1].log[0].detached: 0 became <nil>",
		".job_classes[0].jobs[1].log[0].fd: 9 became <nil>",
		".job_classes[0].jobs[1].log[0].io_watch_fd: 9 became <nil>",
		".job_classes[0].jobs[1].log[0].open_errno: 0 became <nil>",
		".job_classes[0].jobs[1].log[0].path: /var/log/upstart/web-b.log became <nil>",
		".job_classes[0].jobs[1].log[0].remote_closed: 0 became <nil>",
		".job_classes[0].jobs[1].log[0].uid: 0 became <nil>",
		".events[0].blocking: [] became <nil>",
		".events[2].blockers: 2 became 1", // the other one is not in the state
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Error(line)
		}
	}
}

func TestAnUpstartStateMeansTheSameHere(t *testing.T) {
	s, _ := readState(t, sample(t))
	c := s.Classes[0]
	a, b := c.Instances[0], c.Instances[1]
	for what, ok := range map[string]bool{
		"start on":      c.StartOn.String() == `((net IFACE=eth0 and filesystem) or go X!="1")` && c.StartHeld[0] == 3,
		"stop on":       c.StopOn.String() == "runlevel [!2345]" && len(b.StopHeld) == 1,
		"text":          strings.Contains(c.Def.Origin.Text, "kill signal INT"),
		"path":          c.Def.Origin.Path == "/etc/init/web.conf" && s.Sources[1].Confs["web"].Class == c,
		"broken":        s.Sources[1].Confs["broken"].Class == nil,
		"limits":        c.Def.Attrs.Limits[7] == job.Limit{Set: true, Soft: 1024, Hard: 4096} && c.Def.Attrs.Limits[4].Hard == job.Unlimited && !c.Def.Attrs.Limits[0].Set,
		"umask":         c.Def.Attrs.Umask == 0o77 && !c.Def.Attrs.HasNice,
		"blocker":       a.Blocker == 2 && s.Events[1].Waiters[0].Instance == a.ID,
		"blocking":      len(a.Waiters) == 1 && a.Waiters[0].Event == 1 && s.Events[0].Blockers == 1,
		"held event":    s.Events[2].Blockers == 1 && s.Events[2].File == 17, // the other blocker is not in the state
		"process":       b.Proc(job.Main).PID == 411 && b.Proc(job.Main).Token != 0 && s.LastToken == b.Proc(job.Main).Token,
		"kill timer":    b.KillDue == 1030*time.Second && b.KillSlot == job.Main,
		"next cycle":    a.StartEnv == nil && b.StartEnv[0] == "SITE=b",
		"not a startup": s.Booted && s.Respawning,
	} {
		if !ok {
			t.Errorf("%s is not as it was", what)
		}
	}
	e := engine.Restore(mustDecode(t, Encode(s)))
	if effects := text(e.Step(engine.Input{Msg: engine.Exited{PID: 411, Status: job.Killed(2)}})); !strings.Contains(effects, "Release") {
		t.Errorf("its process ends and nothing happens:\n%s", effects)
	}
}

// edit changes the sample, as a tree of maps and lists.
func edit(t testing.TB, change func(state map[string]any)) []byte {
	v := parse(t, sample(t)).(map[string]any)
	change(v)
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func class0(state map[string]any) map[string]any {
	return state["job_classes"].([]any)[0].(map[string]any)
}

func TestStatesOfOlderVersionsAreRead(t *testing.T) {
	for what, row := range map[string]struct {
		change   func(map[string]any)
		warnings []string
		ok       func(*engine.State) bool
	}{
		"no sources": {func(s map[string]any) { delete(s, "conf_sources") }, []string{noConfSources},
			func(s *engine.State) bool { return s.Sources == nil }},
		"no environment": {func(s map[string]any) { delete(s, "job_environment") }, []string{noEnvironment},
			func(s *engine.State) bool { return s.Env == nil }},
		"no bus address": {func(s map[string]any) { delete(s, "control_bus_address") }, []string{noControl},
			func(s *engine.State) bool { return s.BusAddress == "" }},
		"conditions as text": {func(s map[string]any) {
			class0(s)["start_on"] = "net IFACE=eth0 and (b or c X=\"y z\")"
			class0(s)["stop_on"] = "runlevel [!2345]"
		}, nil, func(s *engine.State) bool {
			return s.Classes[0].StartOn.String() == "(net IFACE=eth0 and (b or c X=y z))" && len(s.Classes[0].StartHeld) == 5
		}},
		"no condition": {func(s map[string]any) { delete(class0(s), "start_on") }, nil,
			func(s *engine.State) bool { return s.Classes[0].StartOn == nil }},
		"five slots": {func(s map[string]any) {
			for _, j := range class0(s)["jobs"].([]any) {
				for _, key := range []string{"pid", "log"} {
					j.(map[string]any)[key] = j.(map[string]any)[key].([]any)[:5]
				}
			}
		}, nil, func(s *engine.State) bool { return s.Classes[0].Instances[1].Proc(job.Main).PID == 411 }},
		"no reload signal": {func(s map[string]any) { delete(class0(s), "reload_signal") }, nil,
			func(s *engine.State) bool { return s.Classes[0].Def.ReloadSignal == 1 }},
		"keys of the future": {func(s map[string]any) { s["x"] = 1; class0(s)["y"] = []any{"z"} }, nil,
			func(s *engine.State) bool { return len(s.Classes) == 1 }},
		"a class of a session": {func(s map[string]any) { class0(s)["session"] = 1 }, nil,
			func(s *engine.State) bool { return len(s.Classes) == 0 }},
		"a process that is set up": {func(s map[string]any) {
			class0(s)["jobs"].([]any)[1].(map[string]any)["process_data"].([]any)[0] = map[string]any{"process": 0}
		}, []string{"The main process of web (b) was being set up"}, func(s *engine.State) bool { return true }},
	} {
		s, warnings := readState(t, edit(t, row.change))
		if !slices.Equal(warnings, row.warnings) {
			t.Errorf("%s: warnings %q, want %q", what, warnings, row.warnings)
		}
		if !row.ok(s) {
			t.Errorf("%s: not read as it should be", what)
		}
	}
}

// may are the keys that may be missing.
var may = []string{"conf_sources", "job_environment", "control_bus_address", "cgroup_manager_address", "reload_signal", "apparmor_switch",
	"blockers", "blocking", "blocker", "env", "start_on", "stop_on", "event", "kill_timer", "cgmanager_wait", "cgroups", "job_class"}

func TestAMissingKeyFailsTheLoad(t *testing.T) {
	tried := map[string]bool{}
	var walkKeys func(v any, again func() []byte)
	walkKeys = func(v any, again func() []byte) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walkKeys(x, again)
			}
		case map[string]any:
			for key, x := range v {
				walkKeys(x, again)
				if tried[key] || slices.Contains(may, key) || key == "session" {
					continue
				}
				tried[key] = true
				delete(v, key)
				data := again()
				v[key] = x
				_, isLog := v["io_watch_fd"]
				if _, _, err := ReadState(data, jsonOptions); err == nil && !isLog && key != "path" && key != "fd" && key != "uid" {
					t.Errorf("without %s it is read", key)
				} else if err != nil && !strings.Contains(err.Error(), key+": missing") {
					t.Errorf("without %s: %v", key, err)
				}
			}
		}
	}
	v := parse(t, sample(t))
	walkKeys(v, func() []byte { data, _ := json.Marshal(v); return data })
	if len(tried) < 60 {
		t.Errorf("only %d keys tried", len(tried))
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for what, data := range map[string][]byte{
		"nothing": nil, "a list": []byte("[]"), "two": []byte(`{} {}`),
		"a goal":    edit(t, func(s map[string]any) { class0(s)["jobs"].([]any)[0].(map[string]any)["goal"] = "JOB_X" }),
		"an event":  edit(t, func(s map[string]any) { class0(s)["jobs"].([]any)[0].(map[string]any)["blocker"] = 3 }),
		"a session": edit(t, func(s map[string]any) { class0(s)["session"] = 2 }),
		"a number":  edit(t, func(s map[string]any) { class0(s)["kill_timeout"] = 1.5 }),
		"a tree": edit(t, func(s map[string]any) {
			class0(s)["start_on"] = []any{map[string]any{"type": "EVENT_AND", "value": 0}}
		}),
		"a text": edit(t, func(s map[string]any) { class0(s)["start_on"] = "(" }),
	} {
		if s, _, err := ReadState(data, jsonOptions); err == nil {
			t.Errorf("%s: read as %+v", what, s)
		}
	}
}

func TestAStateOfOursComesBack(t *testing.T) {
	for seed := range uint64(10) {
		e := engine.New(jsonOptions)
		for i, in := range inputsFor(jsonOptions, seed, 200) {
			e.Step(in)
			if i%10 > 0 {
				continue
			}
			first := writeState(t, e.State())
			s, warnings := readState(t, first)
			if warnings != nil {
				t.Fatalf("seed %d step %d: %q", seed, i, warnings)
			}
			second := writeState(t, s)
			for _, line := range missing("", parse(t, first), parse(t, second)) {
				if !strings.HasPrefix(line, ".onset.facts") { // of connections
					t.Errorf("seed %d step %d: %s", seed, i, line)
				}
			}
			if t.Failed() {
				return
			}
		}
	}
}

func TestALimitOfZeroIsKept(t *testing.T) { // DECISIONS 18
	data := edit(t, func(s map[string]any) { class0(s)["limits"].([]any)[2].(map[string]any)["set"] = 1 })
	s, _ := readState(t, data)
	if got := s.Classes[0].Def.Attrs.Limits[2]; got != (job.Limit{Set: true}) {
		t.Errorf("%+v", got)
	}
	if !bytes.Contains(writeState(t, s), []byte(`{"rlim_cur":0,"rlim_max":0,"set":1}`)) {
		t.Error("it is not written")
	}
}

func FuzzReadState(f *testing.F) {
	f.Add(sample(f))
	f.Add(writeState(f, engine.New(jsonOptions).State()))
	f.Add(edit(f, func(s map[string]any) { class0(s)["start_on"] = "a and b" }))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _, err := ReadState(data, jsonOptions)
		if err != nil {
			return
		}
		again, _, err := ReadState(writeState(t, s), jsonOptions)
		if err != nil {
			t.Fatal(err)
		}
		engine.Restore(mustDecode(t, Encode(again)))
	})
}
