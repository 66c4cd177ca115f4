// Command onset-sources turns the edges of the machine into events and facts:
// it hosts the event sources for one init (EXTENSIONS §7). Under the names of
// Upstart's bridges it takes their options and runs one source (UPSTART §9).
// See onset-sources(8).
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"onset/core/control"
	"onset/eventsources"
	"onset/eventsources/kept"
)

func main() {
	program := filepath.Base(os.Args[0])
	err := run(program, os.Args[1:], os.Stdout)
	if started != nil {
		started.tell(err)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, program+": "+err.Error())
		os.Exit(1)
	}
}

func run(program string, args []string, out io.Writer) error {
	o, err := parse(program, args, os.Getenv("UPSTART_SESSION"))
	switch {
	case err != nil:
		return err
	case o.help && o.bridge:
		_, err = fmt.Fprintf(out, "Usage: %s [--%s]\n", program, strings.Join(strings.Fields(bridges[o.named[0]]), "] [--"))
		return err
	case o.help:
		_, err = io.WriteString(out, usage)
		return err
	case o.version:
		_, err = fmt.Fprintf(out, "%s (onset, compatible with %s)\n", program, control.Upstart)
		return err
	case o.list:
		return list(out)
	case o.daemon:
		if leaves, err := daemonise(o); leaves || err != nil {
			return err
		}
	}
	return serve(o)
}

func list(out io.Writer) error {
	var names []string
	for _, s := range sources(&options{}) {
		names = append(names, s.Name())
	}
	slices.Sort(names)
	_, err := fmt.Fprintln(out, strings.Join(names, "\n"))
	return err
}

// serve runs the sources until it is told to end.
func serve(o *options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if !o.daemon {
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT)
		defer stop()
	}
	logf := logger(o)
	if o.daemon {
		defer o.writePID(logf)()
	}
	kept.Receive()
	host := &eventsources.Host{Address: o.address, Sources: sources(o), Named: o.named, Running: notify, Logf: logf}
	err := host.Run(ctx)
	if o.bridge && errors.Is(err, eventsources.ErrNoInit) {
		return errDisconnected
	}
	if inner := errors.Unwrap(err); o.bridge && inner != nil {
		return inner // without the name of the source
	}
	return err
}

// logger returns where lines of the log go: those of a daemon to syslog.
func logger(o *options) func(format string, args ...any) {
	if o.daemon {
		if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, o.program); err == nil {
			return func(format string, args ...any) { fmt.Fprintf(w, format, args...) }
		}
	}
	return func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
}

// notify tells init which sources run, for expect notify (sd_notify(3)).
func notify(names []string) {
	if started != nil {
		started.tell(nil)
	}
	daemon.SdNotify(false, "READY=1\nSTATUS="+cmp.Or(strings.Join(names, " "), "no source is asked for"))
}
