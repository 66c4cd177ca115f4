// Command initctl is the client of init: one binary for all its commands,
// chosen by the first argument or by the name it is called under (UPSTART
// §7, EXTENSIONS §§1, 3, 13). Under the names runlevel, telinit, shutdown,
// reboot, halt, poweroff and init-checkconf it is those programs (UPSTART §§10,
// 11.1).
//
// commands.go holds the table of commands; parsing, the list of commands and
// each command's help follow from it. A command gets a tool, writes its result
// to stdout and returns an error for the rest. Calls to init go through
// client.go, one after the other or, where many objects are asked, in a
// window; there are no goroutines. The texts of answers are core/control's.
package main

import (
	"bufio"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	t := &tool{
		commands: commands[:],
		programs: programs[:],
		lookup:   os.LookupEnv,
		uid:      os.Getuid(),
		stdout:   out,
		stderr:   os.Stderr,
		system:   realSystem(),
	}
	status := t.run(os.Args)
	if err := out.Flush(); err != nil {
		t.complain("cannot write: " + err.Error())
		status = 1
	}
	os.Exit(status)
}
