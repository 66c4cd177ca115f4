//go:build !linux && !freebsd

package watch

import "github.com/fsnotify/fsnotify"

// barrier is nothing here: notifications of different files have no order.
type barrier struct{}

func newBarrier(*fsnotify.Watcher) *barrier { return &barrier{} }

func (*barrier) add(string)     {}
func (*barrier) remove(string)  {}
func (*barrier) quiet() bool    { return false }
func (*barrier) passed()        {}
func (*barrier) raise() bool    { return false }
func (*barrier) is(string) bool { return false }
func (*barrier) close()         {}
