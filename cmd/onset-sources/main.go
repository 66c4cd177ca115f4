// Command onset-sources turns the edges of the machine into events and facts:
// it hosts the event sources for one init (EXTENSIONS §7). See
// onset-sources(8).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"onset/eventsources"
	"onset/platform/address"
)

const usage = `Usage: onset-sources [OPTION]... [SOURCE]...
Turns what happens to the machine into events and facts.

Without a SOURCE, each source runs while a job has a condition on what it tells.

      --address=ADDRESS  D-Bus address of init's private socket
      --user             the init of this session ($UPSTART_SESSION); so without the option where that is set
      --list             print the names of the sources
      --help             print this
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+": "+err.Error())
		os.Exit(1)
	}
}

// command is a command line.
type command struct {
	address    string
	named      []string
	list, help bool
}

var errNoSession = errors.New("--user, and UPSTART_SESSION is not set")

// parse reads a command line; session is the value of UPSTART_SESSION.
func parse(args []string, session string) (c command, err error) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.address, "address", "", "")
	user := flags.Bool("user", false, "")
	flags.BoolVar(&c.list, "list", false, "")
	flags.BoolVar(&c.help, "help", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return command{help: true}, nil
		}
		return c, err
	}
	c.named = flags.Args()
	switch {
	case c.address != "" || c.list || c.help:
	case session != "":
		c.address = session
	case *user:
		return c, errNoSession
	default:
		c.address = address.System
	}
	return c, nil
}

func run(args []string, out io.Writer) error {
	c, err := parse(args, os.Getenv("UPSTART_SESSION"))
	switch {
	case err != nil:
		return err
	case c.help:
		_, err = io.WriteString(out, usage)
		return err
	case c.list:
		var names []string
		for _, s := range sources {
			names = append(names, s.Name())
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintln(out, name)
		}
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	host := &eventsources.Host{Address: c.address, Sources: sources, Named: c.named, Logf: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}}
	return host.Run(ctx)
}
