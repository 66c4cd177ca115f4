package file

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// hostMark in the environment makes the test binary a host of the source for
// the init of that address.
const hostMark = "ONSET_TEST_HOST"

func TestMain(m *testing.M) {
	if address := os.Getenv(hostMark); address != "" {
		if err := newHost(address, func(format string, args ...any) { fmt.Printf(format+"\n", args...) }).Run(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func newHost(address string, logf func(string, ...any)) *eventsources.Host {
	return &eventsources.Host{Address: address, Sources: []eventsources.Source{Source{User: true}}, Logf: logf}
}

// TestExamples runs the jobs of docs/SOURCES.md on a real init.
func TestExamples(t *testing.T) {
	t.Parallel()
	jobs := sourcetest.Examples(t, "file")
	if len(jobs) != 2 {
		t.Fatalf("%d examples", len(jobs))
	}
	for name, text := range jobs {
		for _, path := range []string{"/var/spool/labels/", "/run/maintenance"} {
			text = strings.ReplaceAll(text, path, "PATH"+path)
		}
		jobs[name] = text
	}
	s := sourcetest.NewSession(t, jobs)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newHost(s.Address, t.Logf).Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	s.Await("the job", func() bool { return strings.Contains(s.Initctl("status", "worker"), "start/running") })
	for _, dir := range []string{"var/spool/labels", "run"} {
		if err := os.MkdirAll(s.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, s.Path("run", "maintenance"), "")
	s.Await("the end of the job", func() bool { return strings.Contains(s.Initctl("status", "worker"), "stop/waiting") })
	if err := os.Remove(s.Path("run", "maintenance")); err != nil {
		t.Fatal(err)
	}
	s.Await("the job again", func() bool { return strings.Contains(s.Initctl("status", "worker"), "start/running") })
	label := s.Path("var", "spool", "labels", "1.label")
	write(t, label, "hello")
	log := "label-" + strings.ReplaceAll(label, "/", "_")
	s.Await("the label", func() bool { return s.Log(log) == "hello" })
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestKilled wants facts to stay while the process is killed and another takes
// its place, and what happened meanwhile to be told.
func TestKilled(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := sourcetest.NewSession(t, map[string]string{
		"sources.conf": "start on go\nrespawn\nrespawn limit unlimited\nenv " + hostMark + "\nexport " + hostMark + "\nexec env " + hostMark + "=$UPSTART_SESSION " + self + "\n",
		"keeps.conf":   "while file FILE=PATH/f\nexec sleep 1000000\n",
		"made.conf":    "start on file FILE=PATH/*.made EVENT=create\ninstance $MATCH\ntask\nexec echo made\n",
	})
	write(t, s.Path("f"), "")
	s.Initctl("emit", "go")
	status := func(job string) string { return strings.TrimSpace(s.Initctl("status", job)) }
	s.Await("the job", func() bool { return strings.Contains(status("keeps"), "start/running") })
	before := status("keeps")
	for i := range 5 {
		host := status("sources")
		pid, err := strconv.Atoi(host[strings.LastIndexByte(host, ' ')+1:])
		if err != nil {
			t.Fatalf("%q", host)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		made := s.Path(fmt.Sprintf("%d.made", i))
		write(t, made, "")
		log := "made-" + strings.ReplaceAll(made, "/", "_")
		s.Await("what was made", func() bool { return strings.Contains(s.Log(log), "made\n") })
	}
	if after := status("keeps"); after != before {
		t.Errorf("%q was interrupted: %q", before, after)
	}
}
