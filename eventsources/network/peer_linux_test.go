package network

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// peerMark in the environment makes the test binary another machine: it
// answers requests for a page with the last line of its standard input.
const peerMark = "ONSET_TEST_PEER"

func servePeer() int {
	var page atomic.Value
	page.Store("")
	go http.ListenAndServe(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, page.Load())
	}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		page.Store(lines.Text())
		fmt.Println("serving")
	}
	return 0
}

// peer is another machine: a network namespace and a process in it.
type peer struct {
	t     *testing.T
	pid   int
	lines interface{ Write([]byte) (int, error) }
	reply *bufio.Scanner
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), peerMark+"=yes")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	p := &peer{t: t, pid: cmd.Process.Pid, lines: in, reply: bufio.NewScanner(out)}
	p.serve("NetworkManager is online")
	return p
}

// serve sets the page.
func (p *peer) serve(page string) {
	p.t.Helper()
	fmt.Fprintln(p.lines, page)
	if !p.reply.Scan() {
		p.t.Fatal("the peer has ended")
	}
}

// ip runs commands of ip(8) there.
func (p *peer) ip(commands string) {
	p.t.Helper()
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(p.pid), "-n", "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(commands + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", commands, err, out)
	}
}

// veth makes a pair of links, of which the second is there, up and has an
// address.
func (p *peer) veth(a, b, address string) {
	p.t.Helper()
	veth(p.t, a, b)
	ip(p.t, fmt.Sprintf("link set %s netns %d", b, p.pid))
	p.ip(fmt.Sprintf("link set lo up\nlink set %s up\naddress add %s dev %s", b, address, b))
}
