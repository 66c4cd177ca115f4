//go:build freebsd

// Command guest is all that FreeBSD machines of the boot tests have besides
// the programs under test: a shell and small tools, by the name they are
// called by. They do what the scripts of vm/testdata and the tests of packages
// ask for, and no more.
//
// The shell is package mvdan.cc/sh, whose background jobs and subshells are
// goroutines; here they are processes, and "exec" replaces the shell. As
// interactive shell it plays the script that /etc/play holds, if there is one:
// it waits for patterns in what reached the console, types, and presses keys by
// the signals that the kernel would send. A shell that takes its place goes on
// with the next step.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// tools are called with their arguments and return the exit status.
var tools map[string]func(args []string) int

func init() {
	tools = map[string]func([]string) int{
		"sh": shell, "true": func([]string) int { return 0 }, "false": func([]string) int { return 1 },
		"sleep": sleep, "kill": killTool, "id": id, "env": env, "date": date, "uname": uname, "hostname": hostname,
		"cat": cat, "ls": ls, "cp": cp, "mv": mv, "ln": ln, "rm": rm, "mkdir": mkdir, "rmdir": rmdir, "touch": touch,
		"chmod": chmod, "readlink": readlink, "mkfifo": mkfifo, "dd": dd, "tee": tee,
		"head": head, "tail": tail, "wc": wc, "grep": grep, "sort": sortTool, "tr": tr, "cut": cut, "sed": sed, "seq": seq, "cmp": cmpTool,
		"stty": stty, "mount": mountTool, "umount": umount, "sysctl": sysctl, "dmesg": dmesg, "ps": ps, "ifconfig": ifconfig,
		"manager": manager, "program": program, "zombies": zombies, "background": background, "batch": batch, "hunt": hunt, "overwrite": overwrite,
		"boot": boot,
	}
	for _, name := range []string{"echo", "printf", "test", "[", "pwd"} { // the shell has them
		tools[name] = func(args []string) int { return shell(append([]string{"-c", name + ` "$@"`, name}, args...)) }
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "init" { // process 1 of a machine that needs room to write
		name = "boot"
	}
	args := os.Args[1:]
	if name == "guest" && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if os.Getpid() == 1 {
		openConsole()
	}
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", "/sbin:/bin")
	}
	tool := tools[name]
	if tool == nil {
		fmt.Fprintf(os.Stderr, "guest: no tool %q\n", name)
		os.Exit(127)
	}
	os.Exit(tool(args))
}

// fail prints the error of a tool and returns the exit status 1.
func fail(tool string, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\n", tool, err)
	return 1
}

// flags splits leading words such as "-rf" into letters. Letters in withValue
// take the rest of the word, or the next word.
func flags(args []string, withValue string) (set map[byte]string, rest []string) {
	set = map[byte]string{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0][1:]
		args = args[1:]
		if word == "-" {
			break
		}
		for i := 0; i < len(word); i++ {
			set[word[i]] = "yes"
			if !contains(withValue, word[i]) {
				continue
			}
			value := word[i+1:]
			if value == "" && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			set[word[i]] = value
			break
		}
	}
	return set, args
}

func contains(s string, b byte) bool {
	for i := range len(s) {
		if s[i] == b {
			return true
		}
	}
	return false
}
