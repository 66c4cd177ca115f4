// Command console boots a machine whose process 1 is the init of this tree, on
// the job files of a folder, and leaves the user at its console: "make vm".
// Commands that come from elsewhere than a terminal are typed there one by one,
// and then the machine is switched off.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"onset/vm/linux"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Usage: console JOBS (from the root of the module)")
		os.Exit(2)
	}
	if err := linux.Console(".", os.Args[1], filepath.Join("bin", "vm")); err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}
