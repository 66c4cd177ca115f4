//go:build freebsd

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// input is the files named, one after the other, or standard input.
func input(names []string) (io.Reader, error) {
	if len(names) == 0 {
		return os.Stdin, nil
	}
	var all []io.Reader
	for _, name := range names {
		if name == "-" {
			all = append(all, os.Stdin)
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return io.MultiReader(all...), nil
}

// lines calls each with every line of the input, without its end, until that
// returns false.
func lines(names []string, each func(string) bool) error {
	in, err := input(names)
	if err != nil {
		return err
	}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" && !each(strings.TrimSuffix(line, "\n")) || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// done is the exit status for an error that may be none.
func done(tool string, err error) int {
	if err != nil {
		return fail(tool, err)
	}
	return 0
}

func cat(args []string) int {
	in, err := input(args)
	if err == nil {
		_, err = io.Copy(os.Stdout, in)
	}
	return done("cat", err)
}

func tee(args []string) int {
	set, names := flags(args, "")
	out := []io.Writer{os.Stdout}
	mode := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if set['a'] != "" {
		mode = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	for _, name := range names {
		f, err := os.OpenFile(name, mode, 0o666)
		if err != nil {
			return fail("tee", err)
		}
		out = append(out, f)
	}
	_, err := io.Copy(io.MultiWriter(out...), os.Stdin)
	return done("tee", err)
}

// count is the number for head and tail, also as -5.
func count(args []string) (int, []string) {
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if n, err := strconv.Atoi(args[0][1:]); err == nil {
			return n, args[1:]
		}
	}
	set, rest := flags(args, "nc")
	if n, err := strconv.Atoi(set['n']); err == nil {
		return n, rest
	}
	return 10, rest
}

func head(args []string) int {
	n, names := count(args)
	return done("head", lines(names, func(line string) bool {
		if n--; n >= 0 {
			fmt.Println(line)
		}
		return n > 0
	}))
}

func tail(args []string) int {
	n, names := count(args)
	var last []string
	err := lines(names, func(line string) bool {
		last = append(last, line)
		last = last[max(0, len(last)-n):]
		return true
	})
	for _, line := range last {
		fmt.Println(line)
	}
	return done("tail", err)
}

func wc(args []string) int {
	set, names := flags(args, "")
	in, err := input(names)
	if err != nil {
		return fail("wc", err)
	}
	text, err := io.ReadAll(in)
	var counts []string
	for _, c := range []struct {
		letter byte
		n      int
	}{{'l', bytes.Count(text, []byte("\n"))}, {'w', len(bytes.Fields(text))}, {'c', len(text)}} {
		if len(set) == 0 || set[c.letter] != "" {
			counts = append(counts, strconv.Itoa(c.n))
		}
	}
	fmt.Println(strings.Join(append(counts, names...), " "))
	return done("wc", err)
}

// basic turns a basic regular expression into an extended one.
func basic(pattern string) string {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			if !strings.ContainsRune("(){}+?|", rune(pattern[i])) {
				out.WriteByte('\\')
			}
			out.WriteByte(pattern[i])
		case strings.IndexByte("(){}+?|", c) >= 0:
			out.WriteString("\\" + string(c))
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// grepPattern is a pattern of grep, with its options, as package regexp has it.
func grepPattern(set map[byte]string, pattern string) string {
	switch {
	case set['F'] != "":
		pattern = regexp.QuoteMeta(pattern)
	case set['E'] == "":
		pattern = basic(pattern)
	}
	if set['w'] != "" {
		pattern = `\b(?:` + pattern + `)\b`
	}
	if set['x'] != "" {
		pattern = "^(?:" + pattern + ")$"
	}
	if set['i'] != "" {
		pattern = "(?i)" + pattern
	}
	return pattern
}

func printHits(re *regexp.Regexp, line string) {
	for _, hit := range re.FindAllString(line, -1) {
		if hit != "" {
			fmt.Println(hit)
		}
	}
}

func grep(args []string) int {
	for i, a := range args { // options may follow the pattern
		if i > 0 && len(a) > 1 && a[0] == '-' {
			args = append([]string{a}, append(args[:i:i], args[i+1:]...)...)
		}
	}
	set, names := flags(args, "emA")
	pattern := set['e']
	if pattern == "" {
		if len(names) == 0 {
			return fail("grep", errors.New("no pattern"))
		}
		pattern, names = names[0], names[1:]
	}
	re, err := regexp.Compile(grepPattern(set, pattern))
	if err != nil {
		return fail("grep", err)
	}
	limit, _ := strconv.Atoi(set['m'])
	after, _ := strconv.Atoi(set['A'])
	hits, more := 0, 0
	err = lines(names, func(line string) bool {
		if re.MatchString(line) == (set['v'] != "") {
			if more--; more >= 0 {
				fmt.Println(line)
			}
			return true
		}
		more = after
		hits++
		switch {
		case set['q'] != "":
			return false
		case set['c'] != "":
		case set['o'] != "":
			printHits(re, line)
		default:
			fmt.Println(line)
		}
		return limit == 0 || hits < limit
	})
	if set['c'] != "" {
		fmt.Println(hits)
	}
	switch {
	case err != nil:
		fail("grep", err)
		return 2
	case hits == 0:
		return 1
	}
	return 0
}

func sortTool(args []string) int {
	set, names := flags(args, "kt")
	var all []string
	err := lines(names, func(line string) bool { all = append(all, line); return true })
	slices.SortStableFunc(all, func(a, b string) int {
		if set['n'] != "" {
			x, _ := strconv.Atoi(strings.TrimSpace(a))
			y, _ := strconv.Atoi(strings.TrimSpace(b))
			if x != y {
				return x - y
			}
		}
		return strings.Compare(a, b)
	})
	if set['r'] != "" {
		slices.Reverse(all)
	}
	if set['u'] != "" {
		all = slices.Compact(all)
	}
	for _, line := range all {
		fmt.Println(line)
	}
	return done("sort", err)
}

// characters expands ranges and the escapes of tr.
func characters(s string) string {
	s = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`).Replace(s)
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i+1] == '-' {
			for c := int(s[i]); c <= int(s[i+2]); c++ {
				out.WriteByte(byte(c))
			}
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func tr(args []string) int {
	set, sets := flags(args, "")
	if len(sets) == 0 {
		return fail("tr", errors.New("no characters"))
	}
	from, to := characters(sets[0]), ""
	if len(sets) > 1 {
		to = characters(sets[1])
	}
	text, err := io.ReadAll(os.Stdin)
	var out []byte
	for _, b := range text {
		i := strings.IndexByte(from, b)
		switch {
		case i < 0:
			out = append(out, b)
		case set['d'] != "" || to == "":
		default:
			c := to[min(i, len(to)-1)]
			if set['s'] == "" || len(out) == 0 || out[len(out)-1] != c {
				out = append(out, c)
			}
		}
	}
	os.Stdout.Write(out)
	return done("tr", err)
}

func cut(args []string) int {
	set, names := flags(args, "dfc")
	delimiter := set['d']
	if delimiter == "" {
		delimiter = "\t"
	}
	return done("cut", lines(names, func(line string) bool {
		fields := strings.Split(line, delimiter)
		if set['c'] != "" {
			delimiter, fields = "", strings.Split(line, "")
		}
		var picked []string
		for part := range strings.SplitSeq(set['f']+set['c'], ",") {
			first, last, ok := strings.Cut(part, "-")
			from, _ := strconv.Atoi(first)
			to, err := strconv.Atoi(last)
			if !ok {
				to = from
			} else if err != nil {
				to = len(fields)
			}
			for n := max(from, 1); n <= min(to, len(fields)); n++ {
				picked = append(picked, fields[n-1])
			}
		}
		fmt.Println(strings.Join(picked, delimiter))
		return true
	}))
}

func seq(args []string) int {
	first, last := 1, 0
	var err error
	if len(args) > 1 {
		first, err = strconv.Atoi(args[0])
		args = args[1:]
	}
	if err == nil && len(args) > 0 {
		last, err = strconv.Atoi(args[0])
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for n := first; err == nil && n <= last; n++ {
		fmt.Fprintln(out, n)
	}
	return done("seq", err)
}

func cmpTool(args []string) int {
	set, names := flags(args, "")
	var texts [2][]byte
	for i := range texts {
		in, err := input(names[i : i+1])
		if err == nil {
			texts[i], err = io.ReadAll(in)
		}
		if err != nil {
			return fail("cmp", err)
		}
	}
	if bytes.Equal(texts[0], texts[1]) {
		return 0
	}
	if set['s'] == "" {
		same := 0
		for same < min(len(texts[0]), len(texts[1])) && texts[0][same] == texts[1][same] {
			same++
		}
		fmt.Printf("%s %s differ: char %d, line %d\n", names[0], names[1], same+1, 1+bytes.Count(texts[0][:same], []byte("\n")))
	}
	return 1
}
