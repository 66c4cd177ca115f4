// Command console boots our init, built from this tree, as process 1 of a
// FreeBSD machine with the jobs of a folder, and leaves the user at its
// console: "make vm-freebsd".
package main

import (
	"fmt"
	"os"

	"onset/vm/freebsd"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Usage: console JOBS (from the root of the module)")
		os.Exit(2)
	}
	if err := freebsd.Console(".", os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}
