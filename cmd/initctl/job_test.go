package main

import (
	"fmt"
	"io"
	"testing"

	"github.com/godbus/dbus/v5"

	"onset/core/control"
)

const hint = "Try `initctl --help' for more information.\n"

var inFoo = map[string]string{"UPSTART_JOB": "foo", "UPSTART_INSTANCE": ""}

func TestStart(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "waits and prints the instance", line: "initctl start foo",
			more:   answers{"/jobs/foo Start [] true": at("/jobs/foo/_")},
			stdout: "foo start/running, process 7\n"},
		{why: "passes the environment, and need not wait", line: "initctl start -n inst X=a",
			more:   answers{"/jobs/inst Start [X=a] false": at("/jobs/inst/a")},
			stdout: "inst (a) start/post-start, process 8\n\tpost-start process 9\n"},
		{why: "is a command by its own name, options anywhere", line: "/sbin/start inst X=a --no-wait",
			more:   answers{"/jobs/inst Start [X=a] false": at("/jobs/inst/a")},
			stdout: "inst (a) start/post-start, process 8\n\tpost-start process 9\n"},
		{why: "of what is over again", line: "initctl start bar",
			more:   answers{"/jobs/bar Start [] true": at("/jobs/bar/_")},
			stdout: "bar stop/waiting\n"},
		{why: "quietly", line: "initctl --quiet start foo",
			more: answers{"/jobs/foo Start [] true": at("/jobs/foo/_")}},
		{why: "prints init's error alone", line: "initctl start inst",
			more:   answers{"/jobs/inst Start [] true": control.ExpansionFailed("Unknown parameter: X", "X=name")},
			stderr: "initctl: Unknown parameter: X\nUsage: X=name\n", status: 1},
		{why: "of an unknown job", line: "start nosuch", stderr: "start: Unknown job: nosuch\n", status: 1},
		{why: "of an abstract name with several providers", line: "start dm",
			more:   answers{"/ GetJobByName dm": control.SeveralProviders("dm", "gdm, kdm")},
			stderr: "start: Unknown job: dm is provided by several: gdm, kdm\n", status: 1},
		{why: "needs a job", line: "initctl start", stderr: "initctl: missing job name\n" + hint, status: 1},
		{why: "of the job it runs in never waits", line: "start", env: inFoo,
			more:   answers{"/jobs/foo/_ Start false": done},
			stdout: "foo start/running, process 7\n"},
		{why: "needs both variables of the job it runs in", line: "initctl start", env: map[string]string{"UPSTART_JOB": "foo"},
			stderr: "initctl: missing job name\n" + hint, status: 1},
		{why: "survives init's death", line: "initctl start foo", more: answers{"/jobs/foo Start [] true": io.EOF},
			stderr: "initctl: " + errLost.Error() + "\n", status: 1},
	})
}

func TestStop(t *testing.T) {
	gone := answers{"/jobs/foo Stop [] true": done, "/jobs/foo/_ GetAll Instance": control.UnknownMethod("", "", "")}
	runToolTests(t, []toolTest{
		{why: "asks for the instance first", line: "initctl stop foo", more: gone,
			calls:  []string{"/ GetJobByName foo", "/jobs/foo GetInstance []", "/jobs/foo Stop [] true", "/jobs/foo/_ GetAll Instance"},
			stdout: "foo stop/waiting\n"},
		{why: "of a stopped singleton", line: "initctl stop bar", stderr: "initctl: Unknown instance: \n", status: 1},
		{why: "without its parameter", line: "stop inst", stderr: "stop: Unknown parameter: X\nUsage: X=name\n", status: 1},
		{why: "of the job it runs in never waits", line: "initctl stop", env: inFoo,
			more: answers{"/jobs/foo/_ Stop false": done}, stdout: "foo start/running, process 7\n"},
		{why: "by force, DECISIONS 13", line: "initctl stop --force inst X=a",
			more:   answers{"/jobs/inst/a StopForce true": done},
			stdout: "inst (a) start/post-start, process 8\n\tpost-start process 9\n"},
	})
}

func TestRestart(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "waits", line: "restart foo", more: answers{"/jobs/foo Restart [] true": at("/jobs/foo/_")},
			stdout: "foo start/running, process 7\n"},
		{why: "of a stopped job", line: "initctl restart bar", more: answers{"/jobs/bar Restart [] true": control.UnknownInstance("")},
			stderr: "initctl: Unknown instance: \n", status: 1},
		{why: "of the job it runs in never waits", line: "restart", env: inFoo,
			more: answers{"/jobs/foo/_ Restart false": done}, stdout: "foo start/running, process 7\n"},
	})
}

func TestReload(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "prints nothing", line: "initctl reload foo", more: answers{"/jobs/foo/_ Reload": done}},
		{why: "of a stopped job", line: "reload bar", stderr: "reload: Unknown instance: \n", status: 1},
		{why: "of a job without main process", line: "reload inst X=a", more: answers{"/jobs/inst/a Reload": control.NotRunning("inst (a)")},
			stderr: "reload: Job is not running: inst (a)\n", status: 1},
		{why: "of an old init, without main process", line: "reload inst X=a",
			more:   answers{"/jobs/inst/a GetAll Instance": instanceTable("a", "stop", "pre-stop")},
			stderr: "reload: Not running\n", status: 1},
	})
}

const treeText = `{"processes": [{"slot": "main", "pid": 7, "parent": 0, "command": "nginx: master"},
	{"slot": "main", "pid": 8, "parent": 7, "command": "nginx: worker"}, {"slot": "pre-start", "pid": 5, "parent": 0, "command": "sleep 9"}],
	"usage": {"cpu_usec": 1500000, "memory": 2097152, "pids": 3}}`

func TestStatus(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "of a running job", line: "status foo", stdout: "foo start/running, process 7\n"},
		{why: "of a stopped job", line: "initctl status bar", stdout: "bar stop/waiting\n"},
		{why: "of a named instance that is not", line: "initctl status inst X=c", stderr: "initctl: Unknown instance: c\n", status: 1},
		{why: "without its parameter", line: "initctl status inst", stderr: "initctl: Unknown parameter: X\nUsage: X=name\n", status: 1},
		{why: "of an unknown job", line: "status nosuch", stderr: "status: Unknown job: nosuch\n", status: 1},
		{why: "of the job it runs in", line: "status", env: inFoo, stdout: "foo start/running, process 7\n"},
		{why: "of an abstract name is its providers'", line: "status dm",
			more: answers{"/ GetJobByName dm": control.SeveralProviders("dm", "foo, inst"),
				"/ GetProviders dm": paths("/jobs/foo", "/jobs/inst")},
			stdout: "foo start/running, process 7\ninst (a) start/post-start, process 8\n\tpost-start process 9\n" +
				"inst (b) stop/pre-stop, (pre-stop) process 10\n"},
		{why: "of an abstract name with one provider", line: "status dm",
			more:   answers{"/ GetJobByName dm": at("/jobs/bar"), "/ GetProviders dm": paths("/jobs/bar")},
			stdout: "bar stop/waiting\n"},
		{why: "as JSON", line: "initctl status --json foo", stdout: `[
  {
    "job": "foo",
    "instance": "",
    "goal": "start",
    "state": "running",
    "processes": [
      {
        "name": "main",
        "pid": 7
      }
    ]
  }
]
`},
		{why: "with the tree", line: "status --tree foo", more: answers{"/jobs/foo/_ GetTree": treeText},
			stdout: "foo start/running, process 7\n  7 nginx: master\n    8 nginx: worker\n  5 sleep 9 (pre-start)\n" +
				"  using 1.500 s of processor time, 2.0 MiB of memory, 3 tasks\n"},
		{why: "with the tree, of an init without", line: "status --tree foo", stdout: "foo start/running, process 7\n"},
		{why: "with the tree as JSON", line: "status --tree --json foo", more: answers{"/jobs/foo/_ GetTree": `{"processes": [], "usage": {"pids": 3}}`},
			stdout: `[
  {
    "job": "foo",
    "instance": "",
    "goal": "start",
    "state": "running",
    "processes": [
      {
        "name": "main",
        "pid": 7
      }
    ],
    "tree": {
      "processes": [],
      "usage": {
        "pids": 3
      }
    }
  }
]
`},
		{why: "of a stopped job as JSON", line: "status --json bar", stdout: `[
  {
    "job": "bar",
    "instance": "",
    "goal": "stop",
    "state": "waiting",
    "processes": []
  }
]
`},
	})
}

func TestList(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "every instance, and jobs without; arguments are ignored", line: "initctl list extra args",
			stdout: "foo start/running, process 7\nbar stop/waiting\ninst (a) start/post-start, process 8\n\tpost-start process 9\n" +
				"inst (b) stop/pre-stop, (pre-stop) process 10\n"},
		{why: "what vanishes is left out", line: "initctl list",
			more:   answers{"/jobs/bar GetAllInstances": control.UnknownMethod("", "", ""), "/jobs/inst/a GetAll Instance": control.UnknownMethod("", "", "")},
			stdout: "foo start/running, process 7\ninst (b) stop/pre-stop, (pre-stop) process 10\n"},
		{why: "another error ends it", line: "initctl list",
			more:   answers{"/jobs/bar GetAllInstances": control.SystemError("Out of memory")},
			stderr: "initctl: Out of memory\n", status: 1},
		{why: "of nothing as JSON", line: "initctl list --json", more: answers{"/ GetAllJobs": paths()}, stdout: "[]\n"},
	})
}

func TestUsage(t *testing.T) {
	runToolTests(t, []toolTest{
		{why: "a text", line: "initctl usage foo", more: answers{"/jobs/foo Get Job usage": dbus.MakeVariant("X=name")}, stdout: "Usage: X=name\n"},
		{why: "none", line: "initctl usage foo", more: answers{"/jobs/foo Get Job usage": dbus.MakeVariant("")}, stdout: "Usage: \n"},
		{why: "of an unknown job", line: "initctl usage nosuch", stderr: "initctl: Unknown job: nosuch\n", status: 1},
	})
}

// manyJobs is an init with n running jobs.
func manyJobs(n int) answers {
	a := answers{}
	var classes []string
	for i := range n {
		class := fmt.Sprintf("/jobs/job%d", i)
		classes = append(classes, class)
		a[class+" GetAllInstances"] = paths(class + "/_")
		a[class+"/_ GetAll Instance"] = instanceTable("", "start", "running", control.ProcessInfo{Name: "main", PID: i + 1})
	}
	a["/ GetAllJobs"] = paths(classes...)
	return a
}

func TestListAsksManyAtOnceAndKeepsTheOrder(t *testing.T) {
	const n = 3 * privateWindow
	f := startFake(t, manyJobs(n))
	want := ""
	for i := range n {
		want += fmt.Sprintf("job%d start/running, process %d\n", i, i+1)
	}
	if got := f.runTool([]string{"initctl", "list"}, nil); got != (result{want, "", 0}) {
		t.Errorf("got %+v", got)
	}
}

func BenchmarkList10000(b *testing.B) {
	f := startFake(b, manyJobs(10_000))
	for b.Loop() {
		if got := f.runTool([]string{"initctl", "list"}, nil); got.status != 0 {
			b.Fatal(got.stderr)
		}
		f.log()
	}
}
