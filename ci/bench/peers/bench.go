//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// bench is a run: where things are, and what was found.
type bench struct {
	dir     string   // gone afterwards
	shared  string   // helpers, our programs, the pipe of the services
	usr     []string // layers of /usr
	absent  map[string]string
	figures map[string]map[string][]float64 // row, init
	missing map[string]map[string]string    // row, init: why
}

// cache is where packages are kept, below the module root.
const cache = "bin/peers"

// prepare builds the programs and unpacks the peers. A peer that is not to be
// had is noted, the rest is an error.
func (b *bench) prepare() error {
	b.shared = filepath.Join(b.dir, "bench")
	if err := os.Mkdir(b.shared, 0o755); err != nil {
		return err
	}
	for _, program := range []string{"init", "initctl", "onset-sources"} {
		cmd := exec.Command("go", "build", "-trimpath", "-tags=godbus_no_tcp", "-ldflags=-s -w", "-o", filepath.Join(b.shared, program), "./cmd/"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := quiet(cmd); err != nil {
			return err
		}
	}
	for _, helper := range []string{"up", "say", "enter", "loop", "first"} {
		if err := quiet(exec.Command("gcc", "-O2", "-static", "-o", filepath.Join(b.shared, helper), "ci/bench/peers/helpers/"+helper+".c")); err != nil {
			return err
		}
	}
	for _, name := range accounts {
		text, err := os.ReadFile("/etc/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(b.shared, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	b.absent = map[string]string{}
	unpacked, err := filepath.Abs(filepath.Join(cache, "root"))
	if err != nil {
		return err
	}
	for _, p := range inits {
		if err := fetch(p.packages); err != nil {
			b.absent[p.name] = err.Error()
		}
	}
	if _, err := os.Stat("/usr/lib/systemd/systemd"); err != nil {
		b.absent["systemd"] = "not installed"
	}
	b.usr = []string{filepath.Join(b.dir, "hidden"), filepath.Join(unpacked, "usr"), "/usr"}
	if err := os.MkdirAll(b.usr[1], 0o755); err != nil {
		return err
	}
	return hide(b.usr[0], "lib/systemd/systemd-udevd")
}

// hide makes a layer that lacks a file of those below it: an init that starts
// udevd where one is installed would be measured with that and its workers.
func hide(layer, file string) error {
	path := filepath.Join(layer, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return unix.Mknod(path, unix.S_IFCHR, 0)
}

// fetch unpacks packages into the cache, unless they are there.
func fetch(packages []string) error {
	for _, name := range packages {
		dir := filepath.Join(cache, name)
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		fmt.Fprintln(os.Stderr, "fetching", name)
		work := dir + ".new"
		os.RemoveAll(work)
		if err := os.MkdirAll(work, 0o755); err != nil {
			return err
		}
		// Debian has /lib and the like below /usr, its packages do not yet.
		script := `set -e
cd "$1"; apt-get -qq download "$2" >&2; dpkg -x "$2"_*.deb .; mkdir -p usr ../root/usr
for d in bin sbin lib lib64; do [ ! -d $d ] || { mkdir -p usr/$d; cp -a $d/. usr/$d/; }; done
cp -a usr/. ../root/usr/`
		if err := quiet(exec.Command("sh", "-c", script, "sh", work, name)); err != nil {
			return fmt.Errorf("package %s: %w", name, err)
		}
		if err := os.Rename(work, dir); err != nil {
			return err
		}
	}
	return nil
}

// quiet runs a command whose output matters only when it fails.
func quiet(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

func generators() []string {
	var names []string
	entries, _ := os.ReadDir("/usr/lib/systemd/system-generators")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// measure takes the values of a row: every init in turn, round by round.
func (b *bench) measure(r row) {
	b.figures[r.name], b.missing[r.name] = map[string][]float64{}, map[string]string{}
	turns := rounds
	if r.once {
		turns = 1
	}
	for range turns {
		for _, p := range inits {
			if r.onset && p.name != "Onset" || b.missing[r.name][p.name] != "" {
				continue
			}
			why := b.absent[p.name]
			if why == "" {
				values, err := r.measure(b, p)
				b.figures[r.name][p.name] = append(b.figures[r.name][p.name], values...)
				if err != nil {
					why = err.Error()
				}
			}
			if why != "" {
				b.missing[r.name][p.name] = why
				delete(b.figures[r.name], p.name)
				fmt.Fprintf(os.Stderr, "%s, %s: %s\n", r.name, p.name, why)
			}
		}
	}
	for _, p := range inits {
		if values := b.figures[r.name][p.name]; values != nil {
			fmt.Fprintf(os.Stderr, "%-10s %-8s %10s %s of %s\n", r.name, p.name, figure(median(values)), r.unit, list(values))
		}
	}
}

func list(values []float64) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, figure(v))
	}
	return strings.Join(parts, " ")
}

// median is the middle value, of an even number the lower one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// figure writes three digits, whole numbers in full.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// print writes the table, what is missing and what stands behind it.
func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "Medians of %d, everything under SCHED_RR 1, in namespaces.\n\n|  |", rounds)
	for _, p := range inits {
		fmt.Fprintf(w, " %s |", p.name)
	}
	fmt.Fprintf(w, " to reach | reached |\n|---|%s---|---|\n", strings.Repeat("---:|", len(inits)))
	for _, r := range rows {
		if b.figures[r.name] != nil {
			b.printRow(w, r)
		}
	}
	fmt.Fprintln(w)
	for _, p := range inits {
		if p.note != "" {
			fmt.Fprintf(w, "* %s: %s.\n", p.name, p.note)
		}
		for _, r := range rows {
			if why := b.missing[r.name][p.name]; why != "" && why != errNot.Error() {
				fmt.Fprintf(w, "* %s, %s: not measured: %s.\n", p.name, r.what, strings.TrimSpace(why))
			}
		}
	}
}

func (b *bench) printRow(w io.Writer, r row) {
	fmt.Fprintf(w, "| %s, %s |", r.what, r.unit)
	for _, p := range inits {
		cell := "–"
		if values := b.figures[r.name][p.name]; values != nil {
			cell = figure(median(values))
		}
		fmt.Fprintf(w, " %s |", cell)
	}
	fmt.Fprintf(w, " %s |\n", b.verdict(r))
}

// best is the least value of a row that is not ours.
func (b *bench) best(r row) (name string, value float64) {
	for _, p := range inits {
		values := b.figures[r.name][p.name]
		if p.name == "Onset" || values == nil {
			continue
		}
		if v := median(values); name == "" || v < value {
			name, value = p.name, v
		}
	}
	return name, value
}

// verdict is the last two cells of a row.
func (b *bench) verdict(r row) string {
	ours := b.figures[r.name]["Onset"]
	if r.goal == nil {
		return " |"
	}
	limit, what := r.goal.limit, fmt.Sprintf("≤ %g %s", r.goal.limit, r.unit)
	if r.goal.best {
		name, theirs := b.best(r)
		if name == "" {
			return "≤ best | nothing to compare with"
		}
		limit, what = theirs, "≤ best: "+name
	}
	if r.goal.against != "" {
		from, name := r.name, r.goal.against
		if r.goal.row != "" {
			from, name = r.goal.row, "the loop"
		}
		what = fmt.Sprintf("≤ %g × %s", r.goal.factor, name)
		theirs := b.figures[from][r.goal.against]
		if theirs == nil {
			return what + " | nothing to compare with"
		}
		limit = r.goal.factor * median(theirs)
	}
	if ours == nil {
		return what + " | not measured"
	}
	ratio, word := median(ours), "yes"
	if ratio > limit {
		word = "**no**"
	}
	if r.goal.against != "" {
		return fmt.Sprintf("%s | %s: %.2f", what, word, ratio/limit*r.goal.factor)
	}
	return what + " | " + word
}
