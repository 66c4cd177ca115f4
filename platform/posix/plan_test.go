package posix

import (
	"bytes"
	"reflect"
	"testing"

	"onset/core/job"
)

var fullPlan = Plan{
	Argv: []string{"a", "", "\xff"}, Env: []string{"A=1"}, Script: true, Trace: true, Debug: true,
	Console: job.ConsoleOwner, ConsolePath: "/c", Profile: "p", Bare: true, Umask: -1, Nice: -20, HasNice: true, OOM: -1000,
	Limits: [job.NumLimits]job.Limit{3: {Set: true, Soft: 1, Hard: job.Unlimited}},
	Root:   "/r", Chroot: "/c", Dir: "/d", Setuid: "u", Setgid: "g", Tmpfiles: []string{"/t"}, Listen: true, ListenNames: []string{"l"},
	Isolation: job.Isolation{IOPrio: "idle", CPUAffinity: "0", Sched: "fifo", SchedPrio: 9,
		Namespaces: []job.Namespace{{Kind: "net", Path: "/n", Optional: true}}, Private: []string{"tmp"}, ReadOnly: []string{"/r"},
		Hide: []string{"/h"}, Bind: []job.Setting{{Key: "/a", Value: "/b"}}, CapBounding: []string{"cap_chown"}, CapAmbient: []string{"cap_kill"},
		NoNewPrivs: true, Seccomp: "@default", Setgroups: []string{"g"}, Credentials: []job.Setting{{Key: "n", Value: "/p"}},
		EnvFiles: []job.EnvFile{{Path: "/e", Optional: true}}},
	Cgroups: []string{"/g"}, Jail: "j",
}

func TestPlanSurvivesItsCodec(t *testing.T) {
	v := reflect.ValueOf(fullPlan)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test has no %s", v.Type().Field(i).Name)
		}
	}
	got, err := DecodePlan(fullPlan.Encode())
	if err != nil || !reflect.DeepEqual(*got, fullPlan) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPlanRefusesOtherBytes(t *testing.T) {
	good := fullPlan.Encode()
	for n := range good {
		if _, err := DecodePlan(good[:n]); err == nil {
			t.Fatalf("the first %d bytes are a plan", n)
		}
	}
	if _, err := DecodePlan(append(good, 0)); err == nil {
		t.Error("a plan and a byte are a plan")
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(fullPlan.Encode())
	f.Add((&Plan{}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePlan(b)
		if err != nil {
			return
		}
		again, err := DecodePlan(p.Encode())
		if err != nil || !bytes.Equal(again.Encode(), p.Encode()) {
			t.Errorf("%+v does not survive its codec: %v", p, err)
		}
	})
}
