package bus

import (
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"
)

// A name that has an owner already, one that gets it, one that only gets it on
// the next bus, and one that nobody waits for any more.
func TestAwaitName(t *testing.T) {
	daemon := program(t, "dbus-daemon")
	dir := t.TempDir()
	address, stop := runBus(t, daemon, dir, freeBus)
	w := newWorld(t, nil)
	told := []string{}
	await := func(token uint64, name string) {
		w.within(func() { w.AwaitName(token, name, func() { told = append(told, name) }) })
	}
	want := func(what string, names ...string) {
		t.Helper()
		eventually(t, what, func() (ok bool) {
			w.within(func() { ok = len(told) >= len(names) })
			return ok
		})
		w.within(func() {
			if slices.Sort(told); !slices.Equal(told, names) {
				t.Errorf("%s: told of %q, want %q", what, told, names)
			}
			told = told[:0]
		})
	}
	own := func(c *dbus.Conn, name string) {
		t.Helper()
		if r, err := c.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
			t.Fatal(r, err)
		}
	}
	await(1, "org.example.Early")
	await(2, "org.example.Late")
	c, init := w.onBus(address)
	own(c, "org.example.Early")
	if err := w.join(address, func() {}); err != nil {
		t.Fatal(err)
	}
	want("the owner from before", "org.example.Early")
	await(3, "org.example.Late")
	await(3, "org.example.Late") // by an engine that was started anew
	await(4, "org.example.Next")
	await(5, "org.example.Forgotten")
	w.within(func() { w.ForgetName(5); w.ForgetName(99) })
	ping := func() { // all that was sent before is handled
		if err := init.Call("com.ubuntu.Upstart0_6.GetAllJobs", 0).Err; err != nil {
			t.Fatal(err)
		}
	}
	ping()
	own(c, "org.example.Other")
	own(c, "org.example.Forgotten")
	own(c, "org.example.Late")
	want("both who wait for it", "org.example.Late", "org.example.Late")
	for range 2 { // it is told once
		if _, err := c.ReleaseName("org.example.Late"); err != nil {
			t.Fatal(err)
		}
		own(c, "org.example.Late")
	}
	ping()
	want("nothing more")
	stop()
	w.joined(false)
	address, _ = runBus(t, daemon, dir, freeBus)
	w.tickUntilJoined()
	c, _ = w.onBus(address)
	own(c, "org.example.Next")
	want("the owner on the next bus", "org.example.Next")
	await(6, "no'rule")
	w.wantLog("cannot wait for \"no'rule\"")
}
