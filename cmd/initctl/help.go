package main

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// textColumn is where the text beside names begins in lists (UPSTART §7.2).
const textColumn = 30

// explain answers --help and --version; cmd is the command if there was one.
func (t *tool) explain(cmd *command, what string) {
	switch {
	case what == "version":
		t.print(t.prog + " (" + ownVersion + ")\n")
	case cmd == nil:
		t.print("Usage: " + t.prog + " [OPTION]... COMMAND [OPTION]... [ARG]...\n\nOptions:\n")
		t.printOptions(globalOptions, commonOptions)
		t.print("\nFor a list of commands, try `" + t.prog + " help'.\n")
	default:
		name := cmd.name
		if t.prog != name {
			name = t.prog + " " + name
		}
		t.print(strings.TrimRight("Usage: "+name+" [OPTION]... "+cmd.args, " ") + "\n" + cmd.summary + "\n\nOptions:\n")
		if cmd.section == "" {
			t.printOptions(cmd.options, commonOptions)
		} else {
			t.printOptions(cmd.options, globalOptions, commonOptions)
		}
		if cmd.about != "" {
			t.print("\n" + wrap(cmd.about, 0, t.columns()) + "\n")
		}
	}
}

// help lists the commands; shell completion reads the lines that begin with
// two spaces and a name.
func (t *tool) help([]string) error {
	section := ""
	for _, c := range t.commands {
		if c.section != section {
			if section != "" {
				t.print("\n")
			}
			section = c.section
			t.print(section + " commands:\n")
		}
		t.printRow(c.name, c.summary)
	}
	t.print("\nFor more information on a command, try `initctl COMMAND --help'.\n")
	return nil
}

func (t *tool) printOptions(groups ...[]option) {
	for _, group := range groups {
		for _, o := range group {
			if o.hidden {
				continue
			}
			name := "    --" + o.long
			switch {
			case o.long == "":
				name = "-" + o.name()
			case o.short != 0:
				name = "-" + string(rune(o.short)) + ", --" + o.long
			}
			switch {
			case o.value == "":
			case o.long == "":
				name += " " + o.value
			default:
				name += "=" + o.value
			}
			t.printRow(name, o.help)
		}
	}
}

func (t *tool) printRow(name, text string) {
	t.print(fmt.Sprintf("  %-*s", textColumn-2, name))
	if len(name) >= textColumn-2 {
		t.print("\n" + strings.Repeat(" ", textColumn))
	}
	t.print(wrap(text, textColumn, t.columns()) + "\n")
}

// columns is the width of the terminal.
func (t *tool) columns() int {
	if n, err := strconv.Atoi(t.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if size, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		return int(size.Col)
	}
	return 80
}

// wrap breaks a text that begins in column indent into lines of at most width
// columns, where a line holds at least one word.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	at := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}
