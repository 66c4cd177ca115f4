//go:build freebsd

package main

import (
	"bytes"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// What rewrite puts in place of syntax that the interpreter does not have. The
// commands are carried out by calls.go.
const (
	startCommand    = "__start"    // SOURCE [NAME], as a process in the background
	subshellCommand = "__subshell" // SOURCE, as a process
	closeCommand    = "__close"    // FD
	lastVariable    = "__last"     // $!
)

// rewrite makes processes of subshells and of what runs in the background,
// and redirections of descriptors above 2 something that the interpreter does.
// In what has no process of its own, "exec" is an ordinary command.
func rewrite(root syntax.Node, p *printer) {
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			return statement(n, p)
		case *syntax.CmdSubst:
			for _, st := range n.Stmts {
				dropExec(st)
			}
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				dropExec(n)
			}
		case *syntax.ParamExp:
			if n.Param != nil && n.Param.Value == "!" {
				n.Param.Value = lastVariable
				n.Short = false
			}
		}
		return true
	})
}

// statement reports whether what is in it is to be rewritten too.
func statement(st *syntax.Stmt, p *printer) bool {
	if st.Background {
		st.Background = false
		source := p.print(st)
		if sub, ok := st.Cmd.(*syntax.Subshell); ok && len(st.Redirs) == 0 && !st.Negated {
			source = p.statements(sub) // the process in the background is the subshell
		}
		words := []string{startCommand, source}
		if c, ok := st.Cmd.(*syntax.CallExpr); ok && len(c.Args) > 0 && len(c.Assigns) == 0 {
			words = append(words, c.Args[0].Lit())
		}
		*st = syntax.Stmt{Cmd: call(words...), Position: st.Position}
		return false
	}
	if sub, ok := st.Cmd.(*syntax.Subshell); ok {
		st.Cmd = call(subshellCommand, p.statements(sub))
	}
	var redirs []*syntax.Redirect
	for _, r := range st.Redirs {
		high := r.N != nil && len(r.N.Value) == 1 && r.N.Value[0] > '2'
		switch target := literal(r.Word); {
		case high && target == "-":
			if c, ok := st.Cmd.(*syntax.CallExpr); ok && len(c.Args) == 1 && c.Args[0].Lit() == "exec" {
				st.Cmd = call(closeCommand, r.N.Value)
			}
		case r.Op == syntax.DplOut && len(target) == 1 && target[0] > '2' && target[0] <= '9':
			r.Op, r.Word = syntax.AppOut, word("/dev/fd/"+target)
			redirs = append(redirs, r)
		default:
			redirs = append(redirs, r)
		}
	}
	st.Redirs = redirs
	return true
}

// dropExec takes "exec" away, but not out of processes of their own.
func dropExec(root syntax.Node) {
	syntax.Walk(root, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Subshell:
			return false
		case *syntax.Stmt:
			return !n.Background
		case *syntax.CallExpr:
			if len(n.Args) > 1 && n.Args[0].Lit() == "exec" {
				n.Args = n.Args[1:]
			}
		}
		return true
	})
}

func call(args ...string) *syntax.CallExpr {
	c := &syntax.CallExpr{}
	for _, a := range args {
		c.Args = append(c.Args, word(a))
	}
	return c
}

func word(s string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: s}}}
}

func literal(w *syntax.Word) string {
	if w == nil {
		return ""
	}
	return w.Lit()
}

// printer prints syntax as source.
type printer struct{ *syntax.Printer }

func (p *printer) print(n syntax.Node) string {
	var out bytes.Buffer
	p.Print(&out, n)
	return out.String()
}

func (p *printer) statements(sub *syntax.Subshell) string {
	var source strings.Builder
	for _, st := range sub.Stmts {
		source.WriteString(p.print(st) + "\n")
	}
	return source.String()
}
