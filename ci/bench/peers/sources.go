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
	"time"
)

// connections measures first connections to a service, which ends after its
// answer: some, where the init listens again.
func connections(b *bench, p peer) ([]float64, error) {
	m, err := b.start(p, load{socket: true})
	if err != nil {
		return nil, err
	}
	defer m.stop()
	var values []float64
	for range rounds {
		if err := m.listens(); err != nil {
			return nil, err
		}
		out, err := exec.Command(filepath.Join(m.shared, "first"), "ask", strconv.Itoa(m.cmd.Process.Pid)).Output()
		if err != nil {
			return nil, fmt.Errorf("no answer: %w", err)
		}
		ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return nil, err
		}
		if values = append(values, ns/ms); p.name == "socket-activate" {
			break
		}
	}
	return values, nil
}

// listens waits until there is a listener on port 7, and until all is calm.
func (m *machine) listens() error {
	table := fmt.Sprintf("/proc/%d/net/tcp", m.cmd.Process.Pid)
	for end := time.Now().Add(patient); ; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(table)
		if strings.Contains(string(text), " 0100007F:0007 00000000:0000 0A ") {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("nobody listens after %v: %s", patient, m.output.String())
		}
	}
	time.Sleep(1200 * time.Millisecond)
	return nil
}

// heard measures from before the kernel is asked to tell of the interface lo to
// the first instruction of the job that waits for that.
func heard(classes, percentile int) func(*bench, peer) ([]float64, error) {
	return func(b *bench, p peer) ([]float64, error) {
		m, err := b.start(p, load{services: classes, idle: true, event: true})
		if err != nil {
			return nil, err
		}
		defer m.stop()
		uevent := fmt.Sprintf("/proc/%d/root/sys/class/net/lo/uevent", m.cmd.Process.Pid)
		ring := func(limit time.Duration) (float64, error) {
			asked := now()
			if err := os.WriteFile(uevent, []byte("change"), 0); err != nil {
				return 0, err
			}
			up, err := m.reports(1, limit)
			if err != nil {
				return 0, err
			}
			return float64(up[0].Time-asked) / ms, nil
		}
		for end := time.Now().Add(patient); ; {
			if _, err := ring(100 * time.Millisecond); err == nil {
				break
			} else if time.Now().After(end) {
				return nil, err
			}
		}
		for err == nil { // answers to what was asked before
			_, err = m.reports(1, 1200*time.Millisecond)
		}
		values := make([]float64, 500)
		for i := range values {
			if values[i], err = ring(patient); err != nil {
				return nil, err
			}
			time.Sleep(5 * time.Millisecond) // until all is at rest
		}
		slices.Sort(values)
		return []float64{values[len(values)*percentile/100]}, nil
	}
}
