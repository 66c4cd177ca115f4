//go:build freebsd

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// each does something with every name.
func each(tool string, names []string, do func(string) error) int {
	code := 0
	for _, name := range names {
		if err := do(name); err != nil {
			code = fail(tool, err)
		}
	}
	return code
}

func ls(args []string) int {
	set, names := flags(args, "")
	if len(names) == 0 {
		names = []string{"."}
	}
	show := func(name string, info fs.FileInfo) {
		if set['l'] == "" {
			fmt.Println(name)
			return
		}
		link, err := os.Readlink(name)
		if err == nil {
			name += " -> " + link
		}
		fmt.Println(info.Mode(), info.Size(), name)
	}
	return each("ls", names, func(name string) error {
		info, err := os.Lstat(name)
		if err != nil || set['d'] != "" || !info.IsDir() {
			if err == nil {
				show(name, info)
			}
			return err
		}
		entries, err := os.ReadDir(name)
		for _, e := range entries {
			if info, err := e.Info(); err == nil && (set['a'] != "" || e.Name()[0] != '.') {
				show(e.Name(), info)
			}
		}
		return err
	})
}

// pairs does something with each source and where it is to go.
func pairs(tool string, names []string, do func(from, to string) error) int {
	if len(names) < 2 {
		return fail(tool, errors.New("two names are needed"))
	}
	last := names[len(names)-1]
	info, err := os.Stat(last)
	return each(tool, names[:len(names)-1], func(name string) error {
		if err == nil && info.IsDir() {
			return do(name, filepath.Join(last, filepath.Base(name)))
		}
		return do(name, last)
	})
}

func cp(args []string) int {
	set, names := flags(args, "")
	return pairs("cp", names, func(from, to string) error {
		if set['R'] != "" || set['r'] != "" || set['a'] != "" {
			if info, err := os.Stat(from); err == nil && info.IsDir() {
				return os.CopyFS(to, os.DirFS(from))
			}
		}
		return copyFile(from, to)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func mv(args []string) int {
	_, names := flags(args, "")
	return pairs("mv", names, os.Rename)
}

func ln(args []string) int {
	set, names := flags(args, "")
	return pairs("ln", names, func(from, to string) error {
		if set['f'] != "" {
			os.Remove(to)
		}
		if set['s'] != "" {
			return os.Symlink(from, to)
		}
		return os.Link(from, to)
	})
}

func rm(args []string) int {
	set, names := flags(args, "")
	return each("rm", names, func(name string) error {
		remove := os.Remove
		if set['r'] != "" || set['R'] != "" {
			remove = os.RemoveAll
		}
		if err := remove(name); err != nil && !(set['f'] != "" && os.IsNotExist(err)) {
			return err
		}
		return nil
	})
}

func mkdir(args []string) int {
	set, names := flags(args, "m")
	mode, err := strconv.ParseUint(set['m'], 8, 32)
	if err != nil {
		mode = 0o777
	}
	return each("mkdir", names, func(name string) error {
		if set['p'] != "" {
			return os.MkdirAll(name, fs.FileMode(mode))
		}
		return os.Mkdir(name, fs.FileMode(mode))
	})
}

func rmdir(args []string) int { return each("rmdir", args, os.Remove) }

func touch(args []string) int {
	return each("touch", args, func(name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		f.Close()
		return os.Chtimes(name, time.Now(), time.Now())
	})
}

func chmod(args []string) int {
	if len(args) < 2 {
		return fail("chmod", errors.New("a mode and names are needed"))
	}
	mode, err := strconv.ParseUint(args[0], 8, 32)
	return each("chmod", args[1:], func(name string) error {
		if err != nil {
			info, statErr := os.Stat(name)
			if statErr != nil || !strings.HasSuffix(args[0], "+x") {
				return errors.Join(err, statErr)
			}
			return os.Chmod(name, info.Mode()|0o111)
		}
		return unix.Chmod(name, uint32(mode))
	})
}

func readlink(args []string) int {
	set, names := flags(args, "")
	return each("readlink", names, func(name string) error {
		read := os.Readlink
		if set['f'] != "" {
			read = filepath.EvalSymlinks
		}
		target, err := read(name)
		if err == nil {
			fmt.Println(target)
		}
		return err
	})
}

func mkfifo(args []string) int {
	return each("mkfifo", args, func(name string) error { return unix.Mkfifo(name, 0o666) })
}

// dd copies: if=, of=, bs=, count=.
func dd(args []string) int {
	in, out, size, blocks := os.Stdin, os.Stdout, 512, -1
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		switch key {
		case "if":
			in, err = os.Open(value)
		case "of":
			out, err = os.Create(value)
		case "bs":
			unit := map[string]int{"k": 1 << 10, "K": 1 << 10, "m": 1 << 20, "M": 1 << 20}[value[len(value)-1:]]
			size, err = strconv.Atoi(strings.TrimRight(value, "kKmM"))
			size *= max(unit, 1)
		case "count":
			blocks, err = strconv.Atoi(value)
		}
		if err != nil {
			return fail("dd", err)
		}
	}
	block := make([]byte, size)
	for ; blocks != 0; blocks-- {
		n, err := io.ReadFull(in, block)
		if _, err := out.Write(block[:n]); err != nil {
			return fail("dd", err)
		}
		if err != nil {
			break
		}
	}
	return 0
}
