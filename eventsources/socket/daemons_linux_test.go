package socket

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// debianDaemon is one of Debian's that takes its socket from who starts it.
type debianDaemon struct {
	program string
	job     string // PROGRAM, PORT and PATH/ are replaced
	files   map[string]string
	// use is the first connection, and again after a restart.
	use func(w *world, port string) error
}

var daemons = []debianDaemon{
	{
		program: "sshd",
		job:     "start on socket PROTO=inet ADDR=127.0.0.1 PORT=PORT ACCEPT=yes\ninstance $CONNECTION\nexec sh -c 'exec PROGRAM -i -f PATH/sshd_config <&3 >&3'\n",
		files:   map[string]string{"sshd_config": "HostKey PATH/key\nUsePAM no\n"},
		use: func(_ *world, port string) error {
			c, err := net.Dial("tcp4", "127.0.0.1:"+port)
			if err != nil {
				return err
			}
			defer c.Close()
			io.WriteString(c, "SSH-2.0-test\r\n")
			line, err := bufio.NewReader(c).ReadString('\n')
			if !strings.HasPrefix(line, "SSH-2.0-OpenSSH") {
				return fmt.Errorf("%q, %v", line, err)
			}
			return nil
		},
	}, {
		program: "nginx",
		job:     "start on socket PROTO=inet ADDR=127.0.0.1 PORT=PORT\nenv NGINX=\"3;\"\nrespawn\nexec PROGRAM -e PATH/errors -c PATH/nginx.conf\n",
		files: map[string]string{"nginx.conf": "daemon off; pid PATH/pid; error_log PATH/errors; events {}\n" +
			"http { access_log off; server { listen 127.0.0.1:PORT; location / { return 200 hello; } } }\n"},
		use: func(_ *world, port string) error {
			got, err := ask("tcp4", "127.0.0.1:"+port, "GET / HTTP/1.0\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.HasSuffix(got, "\r\n\r\nhello") {
				return fmt.Errorf("%q, %v", got, err)
			}
			return nil
		},
	}, {
		program: "dbus-daemon",
		job:     "start on socket PROTO=unix PATH=PATH/bus\nrespawn\nexec PROGRAM --session --address=systemd: --nofork --nopidfile\n",
		use: func(w *world, _ string) error {
			conn, err := dbus.Connect("unix:path=" + w.Path("bus"))
			if err != nil {
				return err
			}
			return conn.Close()
		},
	},
}

// TestDaemons starts daemons of Debian's by their first connection.
func TestDaemons(t *testing.T) {
	for _, d := range daemons {
		t.Run(d.program, func(t *testing.T) {
			program, err := exec.LookPath(d.program)
			if err != nil {
				if program = filepath.Join("/usr/sbin", d.program); !exists(program) {
					t.Skip("it is not installed")
				}
			}
			port := freePort(t)
			words := strings.NewReplacer("PROGRAM", program, "PORT=PORT", "PORT="+port, ":PORT", ":"+port)
			w := newWorld(t, map[string]string{"d.conf": words.Replace(d.job)})
			if d.program == "sshd" {
				if os.Getuid() != 0 {
					t.Skip("only root may run sshd")
				}
				if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", w.Path("key")).CombinedOutput(); err != nil {
					t.Skipf("no key for sshd: %v\n%s", err, out)
				}
			}
			for name, text := range d.files {
				text = strings.ReplaceAll(words.Replace(text), "PATH/", w.Path()+"/")
				if err := os.WriteFile(w.Path(name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.bound(1)
			for _, when := range []string{"at first", "after a stop"} {
				if err := d.use(w, port); err != nil {
					t.Errorf("%s: %v; it said %q", when, err, w.Log("d"))
				}
				w.Initctl("stop", "d")
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
