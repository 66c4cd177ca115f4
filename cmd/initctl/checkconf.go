package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"onset/core/conf"
	"onset/core/job"
)

// checkConf is init-checkconf (UPSTART §11.1). The parser of init is asked,
// not an init that is started for it. An error has been said when it returns.
func (t *tool) checkConf(args []string) error {
	file := t.opts.value("file")
	if file == "" && len(args) > 0 {
		file = args[0]
	}
	faults, err := t.faults(file)
	switch {
	case err != nil:
		fmt.Fprintln(t.stderr, "ERROR: "+err.Error())
		return errQuiet
	case len(faults) > 0:
		fmt.Fprintf(t.stderr, "ERROR: File %s: syntax invalid:\n%s\n", file, strings.Join(faults, "\n"))
		return errQuiet
	}
	t.print("File " + file + ": syntax ok\n")
	return nil
}

// faults returns what is wrong with a job file, each fault in lines of its own.
func (t *tool) faults(file string) ([]string, error) {
	if file == "" {
		return nil, spoken("missing file name")
	}
	name, ok := strings.CutSuffix(filepath.Base(file), ".conf")
	if !ok || name == "" {
		return nil, spoken("File " + file + ": its name does not end in .conf")
	}
	text, err := readJob(file)
	if err != nil {
		return nil, spoken("File " + file + ": " + systemText(err))
	}
	origin := job.Origin{Path: filepath.Base(file), Text: text}
	class, errs := conf.Parse(name, origin, job.Defaults{Signals: signals})
	var faults []string
	for _, e := range errs {
		faults = append(faults, e.Error())
		if d := e.Detail(); d != "" {
			faults = append(faults, d)
		}
	}
	if class == nil || t.opts.has("noscript") {
		return faults, nil
	}
	return shellFaults(class)
}

// readJob reads a file that init would read, and no other: a FIFO has no end.
func readJob(file string) (string, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() && !info.IsDir(): // reading a directory is an error of its own
		return "", spoken("Not a regular file")
	case info.Size() > conf.SizeMax:
		return "", conf.ErrLarge
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// shellFaults returns what the shell says of the scripts.
func shellFaults(class *job.Class) ([]string, error) {
	var faults []string
	for _, slot := range []job.Slot{job.PreStart, job.PostStart, job.Main, job.PreStop, job.PostStop} {
		p := class.Process.Of(slot)
		if !p.Script {
			continue
		}
		said, err := checkShell(p.Text)
		if err != nil {
			return nil, fmt.Errorf("cannot run /bin/sh: %s", systemText(err))
		}
		if said != "" {
			faults = append(faults, slot.String()+" script: "+said)
		}
	}
	return faults, nil
}

// checkShell lets /bin/sh read a script without running it, and returns its
// complaint.
func checkShell(text string) (string, error) {
	script, err := os.CreateTemp("", "checkconf")
	if err != nil {
		return "", err
	}
	defer script.Close()
	os.Remove(script.Name())
	if _, err := script.WriteString(text); err != nil {
		return "", err
	}
	if _, err := script.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer out.Close()
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-n"}, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{script.Fd(), in.Fd(), in.Fd()}})
	in.Close()
	if err != nil {
		return "", err
	}
	said, err := io.ReadAll(out)
	if err != nil {
		return "", err
	}
	var status syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if err == nil && status != 0 && len(said) == 0 {
		said = []byte("no shell script")
	}
	if status == 0 {
		said = nil
	}
	return strings.TrimSpace(string(said)), err
}
