//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	many    = 1000
	few     = 5
	patient = 30 * time.Second // for anything to happen
)

// row is one thing that is measured.
type row struct {
	name, what, unit string
	onset            bool // of Onset alone
	measure          func(b *bench, p peer) ([]float64, error)
	once             bool // one call gives all values
	goal             *goal
}

// goal is what Onset is to reach: at most factor times the row of an init, or
// at most limit.
type goal struct {
	against, row string
	factor       float64
	limit        float64
	best         bool // at most the least of the others
}

var rows = []row{
	{name: "parallel", what: "exec of process 1 → 1,000 services up", unit: "ms", measure: boots(load{services: many}), goal: &goal{against: "s6", factor: 0.4}},
	{name: "chain", what: "chain of 1,000", unit: "ms", measure: boots(load{services: many, chain: true}), goal: &goal{against: "systemd", factor: 0.3}},
	{name: "chain500", what: "chain of 500", unit: "ms", onset: true, measure: boots(load{services: many / 2, chain: true})},
	{name: "chain250", what: "chain of 250", unit: "ms", onset: true, measure: boots(load{services: many / 4, chain: true})},
	{name: "stop", what: "stop by command line", unit: "ms", once: true, measure: commands(0), goal: &goal{against: "s6", factor: 0.8}},
	{name: "start", what: "start by command line", unit: "ms", once: true, measure: commands(1), goal: &goal{against: "s6", factor: 0.8}},
	{name: "respawn", what: "kill → first instruction of the next", unit: "ms", once: true, measure: respawn, goal: &goal{against: "runit", factor: 0.7}},
	{name: "idle", what: "PSS of the init with 5 services", unit: "MB", measure: memory(few), goal: &goal{limit: 7}},
	{name: "full", what: "PSS of the init with 1,000 services", unit: "MB", measure: memory(many), goal: &goal{limit: 11}},
	{name: "sandbox", what: "chain of 100 sandboxed services, each", unit: "ms", measure: steps(load{services: 100, chain: true, sandbox: true}), goal: &goal{against: "systemd", factor: 1.5}},
	{name: "load", what: "exec → `initctl status` with 10,000 job files", unit: "ms", onset: true, measure: answer, goal: &goal{limit: 500}},
	{name: "bwrap", what: "the same sandbox by bwrap in a C loop, each", unit: "ms", onset: true, once: true, measure: bwrap},
	{name: "tasks", what: "1,000 logged tasks at once", unit: "ms", onset: true, once: true, measure: tasks, goal: &goal{against: "Onset", row: "loop", factor: 1.3}},
	{name: "first", what: "first connection → first byte of the service it starts", unit: "ms", measure: connections, goal: &goal{best: true}},
	{name: "heard", what: "message of the kernel → first instruction of the job, 10 classes", unit: "ms", onset: true, once: true, measure: heard(10, 50)},
	{name: "heard99", what: "the same, 99th percentile", unit: "ms", onset: true, once: true, measure: heard(10, 99)},
	{name: "heard10000", what: "message of the kernel → first instruction of the job, 10,000 classes", unit: "ms", onset: true, once: true, measure: heard(10000, 50)},
	{name: "heard10000at99", what: "the same, 99th percentile", unit: "ms", onset: true, once: true, measure: heard(10000, 99)},
	{name: "loop", what: "the same 1,000 programs in a C loop of vfork, exec, wait", unit: "ms", onset: true, once: true, measure: loop},
}

const ms = 1e6

// boots measures from the exec of process 1 to the first instruction of the
// last service.
func boots(l load) func(*bench, peer) ([]float64, error) {
	return ups(l, func(m *machine, up []report) float64 {
		last := slices.MaxFunc(up, func(a, b report) int { return int(a.Time - b.Time) })
		return float64(last.Time-m.started) / ms
	})
}

// ups measures by what services say when they are up.
func ups(l load, value func(*machine, []report) float64) func(*bench, peer) ([]float64, error) {
	return func(b *bench, p peer) ([]float64, error) {
		m, err := b.start(p, l)
		if err != nil {
			return nil, err
		}
		defer m.stop()
		up, err := m.reports(l.services, patient)
		if err != nil {
			return nil, err
		}
		return []float64{value(m, up)}, nil
	}
}

// steps measures a step of a chain: between the first instructions of one
// service and the next.
func steps(l load) func(*bench, peer) ([]float64, error) {
	return ups(l, func(_ *machine, up []report) float64 {
		return float64(up[len(up)-1].Time-up[0].Time) / ms / float64(len(up)-1)
	})
}

// commands measures stopping and starting one of a few services: the stops,
// or the starts.
func commands(which int) func(*bench, peer) ([]float64, error) {
	return func(b *bench, p peer) ([]float64, error) {
		m, err := b.settled(p, load{services: few})
		if err != nil {
			return nil, err
		}
		defer m.stop()
		took, err := m.enter(rounds, p.stop, p.start)
		if err != nil {
			return nil, err
		}
		var values []float64
		for i := which; i < len(took); i += 2 {
			values = append(values, float64(took[i])/ms)
		}
		return values, nil
	}
}

// settled starts an init and waits until its services are up for more than a
// second, below which some inits hold a service back.
func (b *bench) settled(p peer, l load) (*machine, error) {
	m, err := b.start(p, l)
	if err != nil {
		return nil, err
	}
	if _, err := m.reports(l.services, patient); err != nil {
		m.stop()
		return nil, err
	}
	time.Sleep(1200 * time.Millisecond)
	return m, nil
}

func respawn(b *bench, p peer) ([]float64, error) {
	m, err := b.settled(p, load{services: few, respawn: true})
	if err != nil {
		return nil, err
	}
	defer m.stop()
	var values []float64
	for range rounds {
		pids := slices.DeleteFunc(m.pids(), func(pid int) bool { return !m.isService(pid) })
		if len(pids) != few {
			return nil, fmt.Errorf("%d services to kill, not %d", len(pids), few)
		}
		killed := now()
		if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
			return nil, err
		}
		up, err := m.reports(1, patient)
		if err != nil {
			return nil, err
		}
		values = append(values, float64(up[0].Time-killed)/ms)
		time.Sleep(1200 * time.Millisecond)
	}
	return values, nil
}

func memory(services int) func(*bench, peer) ([]float64, error) {
	return func(b *bench, p peer) ([]float64, error) {
		m, err := b.settled(p, load{services: services})
		if err != nil {
			return nil, err
		}
		defer m.stop()
		mb, err := m.pss()
		return []float64{mb}, err
	}
}

// answer measures from the exec of process 1 until initctl knows a job.
func answer(b *bench, p peer) ([]float64, error) {
	m, err := b.start(p, load{services: 10000, idle: true})
	if err != nil {
		return nil, err
	}
	defer m.stop()
	at, err := m.enter(0, []string{"/bench/initctl", "status", "b9999"})
	if err != nil {
		return nil, err
	}
	return []float64{float64(at[0]-m.started) / ms}, nil
}

func tasks(b *bench, p peer) ([]float64, error) {
	m, err := b.settled(p, load{services: 1, tasks: many})
	if err != nil {
		return nil, err
	}
	defer m.stop()
	took, err := m.enter(rounds, []string{"/bench/initctl", "emit", "go"})
	if err != nil {
		return nil, err
	}
	logs, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(m.cmd.Process.Pid), "root/var/log/upstart/t*.log"))
	if len(logs) != many {
		return nil, fmt.Errorf("%d logs of %d tasks", len(logs), many)
	}
	var values []float64
	for _, ns := range took {
		values = append(values, float64(ns)/ms)
	}
	return values, nil
}

func loop(b *bench, _ peer) ([]float64, error) {
	return b.loop(many, filepath.Join(b.shared, "say"))
}

func bwrap(b *bench, _ peer) ([]float64, error) {
	if err := fetch([]string{"bubblewrap"}); err != nil {
		return nil, err
	}
	const count = 100
	values, err := b.loop(count, filepath.Join(cache, "bubblewrap/usr/bin/bwrap"), "--bind", "/", "/", "--ro-bind", "/usr", "/usr", "--tmpfs", "/tmp",
		"--tmpfs", "/var/tmp", "--unshare-net", "--unshare-uts", "--unshare-ipc", "--cap-drop", "ALL", "--cap-add", "CAP_KILL", filepath.Join(b.shared, "say"))
	for i := range values {
		values[i] /= count
	}
	return values, err
}

// loop runs helpers/loop.c: the milliseconds it prints, once a round.
func (b *bench) loop(count int, command ...string) ([]float64, error) {
	var values []float64
	for range rounds {
		out, err := os.Create(filepath.Join(b.dir, "said"))
		if err != nil {
			return nil, err
		}
		var errs strings.Builder
		cmd := exec.Command(filepath.Join(b.shared, "loop"), append([]string{strconv.Itoa(count)}, command...)...)
		cmd.Stdout, cmd.Stderr = out, &errs
		err = cmd.Run()
		out.Close()
		if err != nil {
			return nil, err
		}
		ns, err := strconv.ParseFloat(strings.TrimSpace(errs.String()), 64)
		if err != nil {
			return nil, err
		}
		values = append(values, ns/ms)
	}
	return values, nil
}
