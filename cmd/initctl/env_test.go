package main

import (
	"testing"

	"onset/core/control"
)

func TestEnvironment(t *testing.T) {
	orphan := map[string]string{"UPSTART_JOB": "foo"}
	runToolTests(t, []toolTest{
		{why: "get", line: "initctl get-env A", more: answers{"/ GetEnv [] A": "x y"}, stdout: "x y\n"},
		{why: "get of the job", line: "initctl get-env A", env: inFoo, more: answers{"/ GetEnv [foo ] A": "x"}, stdout: "x\n"},
		{why: "get of all, inside a job", line: "initctl get-env -g A", env: inFoo, more: answers{"/ GetEnv [] A": "x"}, stdout: "x\n"},
		{why: "get without instance", line: "initctl get-env A", env: orphan, stderr: "initctl: missing job name\n" + hint, status: 1},
		{why: "get of nothing", line: "initctl get-env", stderr: "initctl: missing variable name\n" + hint, status: 1},
		{why: "get of what is not set", line: "initctl get-env A", more: answers{"/ GetEnv [] A": control.NoSuchVariable("A")},
			stderr: "initctl: No such variable: A\n", status: 1},
		{why: "list sorts", line: "initctl list-env", more: answers{"/ ListEnv []": []string{"B=2", "A=x=y", "C="}}, stdout: "A=x=y\nB=2\nC=\n"},
		{why: "list as JSON", line: "initctl list-env --json", more: answers{"/ ListEnv []": []string{"B=2", "A=x=y"}},
			stdout: "{\n  \"A\": \"x=y\",\n  \"B\": \"2\"\n}\n"},
		{why: "set", line: "initctl set-env A=1 B", more: answers{"/ SetEnvList [] [A=1 B] true": done}},
		{why: "set what is not yet", line: "initctl set-env --retain A=1", more: answers{"/ SetEnvList [] [A=1] false": done}},
		{why: "set nothing", line: "initctl set-env", stderr: "initctl: missing variable value\n" + hint, status: 1},
		{why: "unset", line: "initctl unset-env A B", more: answers{"/ UnsetEnvList [] [A B]": done}},
		{why: "unset nothing", line: "initctl unset-env", stderr: "initctl: missing variable name\n" + hint, status: 1},
		{why: "reset", line: "initctl reset-env --global", env: orphan, more: answers{"/ ResetEnv []": done}},
	})
}
