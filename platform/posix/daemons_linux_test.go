package posix

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

// confined are daemons as the default profile is for: each is asked what only
// one in working order answers. Their own folder is /run.
var confined = []struct {
	name   string
	file   string // that tells whether it is there
	script string // which becomes the daemon
	socket string
	ask    string
	answer string
}{
	{"nginx", "usr/sbin/nginx", `
		echo 'user www-data; worker_processes 2; pid /run/pid; error_log stderr; events {} http { access_log off; server { listen unix:/run/s; return 200 "at work\n"; } }' >/run/conf
		exec nginx -c /run/conf -g 'daemon off;'`, "s", "GET / HTTP/1.0\r\n\r\n", "at work"},
	{"redis", "usr/bin/redis-server", `
		exec redis-server --port 0 --unixsocket /run/s --dir /run --daemonize no`, "s", "SET a b\r\nSAVE\r\nBGSAVE\r\nGET a\r\n", "+OK\r\n+OK\r\n+Background saving started\r\n$1\r\nb\r\n"},
	{"dbus-daemon", "usr/bin/dbus-daemon", `
		sed 's|<listen>.*</listen>|<listen>unix:path=/run/s</listen>|; s|<fork/>||' /usr/share/dbus-1/system.conf >/run/conf
		exec dbus-daemon --config-file=/run/conf --nofork --nosyslog --nopidfile`, "s", "\x00AUTH EXTERNAL 30\r\n", "OK "},
	{"postgres", "usr/lib/postgresql/15/bin/postgres", `
		mkdir /run/db && chown postgres /run /run/db
		cd /usr/lib/postgresql/15/bin
		setpriv --reuid postgres --regid postgres --clear-groups ./initdb -D /run/db -A trust >&2
		exec setpriv --reuid postgres --regid postgres --clear-groups ./postgres -D /run/db -k /run -c listen_addresses=`,
		".s.PGSQL.5432", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "N"},
}

// TestDaemonsUnderTheDefaultProfile starts them in Debian's files, in a
// namespace of processes of their own which ends with them.
func TestDaemonsUnderTheDefaultProfile(t *testing.T) {
	root, err := filepath.Abs("../../bin/daemons/root")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range confined {
		t.Run(d.name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(root, d.file)); err != nil {
				t.Skip("no daemons of Debian here: ci/daemons.sh unpacks them: " + err.Error())
			}
			if os.Geteuid() != 0 {
				t.Skip("only root can start them")
			}
			run := t.TempDir()
			os.Chmod(run, 0o755)
			i := job.Isolation{Seccomp: "@default", Private: []string{"tmp", "dev"}, Bind: []job.Setting{{Key: run, Value: "/run"}},
				Namespaces: []job.Namespace{{Kind: "pid"}}}
			i.Namespaces = Namespaces(&i, true)
			p := isolated(i, "sh", "-ec", d.script)
			p.Chroot, p.Dir = root, "/"
			pid, report, out := starter{sys: syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}}.start(t, p)
			defer func() {
				unix.Kill(pid, unix.SIGKILL)
				syscall.Wait4(pid, nil, 0, nil)
				if t.Failed() {
					text, _ := os.ReadFile(out)
					r := Report{FD: report}
					fault, _ := r.Read(func(string) {})
					t.Logf("%v\n%s", fault, text)
				}
			}()
			deadline := time.Now().Add(5 * time.Minute)
			for answer := ""; ; time.Sleep(20 * time.Millisecond) {
				if answer = question(filepath.Join(run, d.socket), d.ask, d.answer); answer == d.answer {
					break
				}
				if n, _ := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); n == pid || time.Now().After(deadline) {
					t.Fatalf("it has ended, or does not answer in time; the last answer is %q", answer)
				}
			}
			status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
			if err != nil || ofStatus(string(status), "Seccomp") != "2" {
				t.Errorf("it is not confined: %v", err)
			}
		})
	}
}

// question returns the part of the answer that is looked for, or all of it.
func question(socket, ask, answer string) string {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	if _, err := c.Write([]byte(ask)); err != nil {
		return err.Error()
	}
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for !bytes.Contains(got.Bytes(), []byte(answer)) {
		n, err := c.Read(buf)
		got.Write(buf[:n])
		if err != nil && !bytes.Contains(got.Bytes(), []byte(answer)) {
			return got.String() + err.Error()
		}
	}
	return answer
}
