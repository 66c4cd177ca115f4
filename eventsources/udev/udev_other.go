//go:build !linux

package udev

import (
	"context"
	"fmt"

	"onset/eventsources"
)

// Run implements eventsources.Source.
func (Source) Run(context.Context, eventsources.Init) error {
	return fmt.Errorf("uevents are Linux's; see the source devctl: %w", eventsources.ErrUnsupported)
}
