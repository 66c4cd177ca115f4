package eventsources_test

import (
	"context"
	"testing"

	"onset/eventsources"
	"onset/eventsources/sourcetest"
)

// device is an event and a fact as udev has them.
var device = []string{"KERNEL=eth0", "DEVPATH=/devices/pci0000:00/0000:00:03.0/net/eth0", "SUBSYSTEM=net", "INTERFACE=eth0"}

// BenchmarkSource is the way of events that nobody takes, alone and each with
// the change of a fact before, from a source through the host to a real init.
func BenchmarkSource(b *testing.B) {
	ctx := b.Context()
	run := make(chan func(eventsources.Init) error)
	defer close(run)
	done := make(chan error)
	init := sourcetest.NewSession(b, nil)
	h := &eventsources.Host{Address: init.Address, Named: []string{"x"}, Logf: b.Logf, Sources: []eventsources.Source{
		&source{"x", func(_ context.Context, in eventsources.Init) error {
			for f := range run {
				done <- f(in)
			}
			return nil
		}}}}
	go h.Run(ctx)
	event := eventsources.Event{Name: "net-device-added", Env: append(device[:3:3], "ACTION=add", device[3])}
	measure := func(name string, one func(in eventsources.Init, n int) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			run <- func(in eventsources.Init) (err error) {
				for n := 0; n < b.N && err == nil; n++ {
					err = one(in, n)
				}
				if err == nil {
					err = in.EmitWait(ctx, event)
				}
				return err
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	measure("events", func(in eventsources.Init, _ int) error { return in.Emit(ctx, event) })
	fact := eventsources.Fact{Name: "net-device", Env: device}
	measure("pairs", func(in eventsources.Init, n int) error {
		change := in.Assert
		if n%2 == 1 {
			change = in.Retract
		}
		if err := change(fact); err != nil {
			return err
		}
		return in.Emit(ctx, event)
	})
}
