//go:build !linux && !freebsd

package suspend

import (
	"errors"
	"os"
	"time"
)

func openLock() (*os.File, error) { return nil, errors.ErrUnsupported }

// Supported says no.
func Supported(Method) error { return errors.ErrUnsupported }

// Enter is not known here.
func Enter(Method) error { return errors.ErrUnsupported }

// Clock stands still.
func Clock() time.Duration { return 0 }
