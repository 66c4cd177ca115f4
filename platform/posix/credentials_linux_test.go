package posix

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"onset/core/job"
)

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	key, big := write("key", "secret\n"), write("big", strings.Repeat("x", maxCredential+1))
	const look = `cd $CREDENTIALS_DIRECTORY; pwd; stat -c '%n %a %U' . *; cat *; stat -f -c %T .; touch x 2>&1 | sed 's/.*: //'; chmod 600 k 2>&1 | sed 's/.*: //'`
	seen := func(user string) string {
		return "/run/credentials\n. 500 " + user + "\nk 400 " + user + "\nsecret\nramfs\nRead-only file system\nRead-only file system\n"
	}
	for _, c := range []struct {
		name         string
		user         string
		i            job.Isolation
		umask        int
		want, reason string
	}{
		{name: "of root", i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: key}}}, umask: -1, want: seen("root")},
		{name: "of a user", user: "daemon", i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: key}}}, umask: 0o777, want: seen("daemon")},
		{name: "beside a read-only root", user: "daemon", i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: key}}, ReadOnly: []string{"/"}}, umask: -1, want: seen("daemon")},
		{name: "no file", i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: dir + "/none"}}}, reason: "unable to pass credentials: " + dir + "/none: No such file or directory"},
		{name: "a directory", i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: dir}}}, reason: "unable to pass credentials: k: Is a directory"},
		{name: "too large", i: job.Isolation{Credentials: []job.Setting{{Key: "k", Value: big}}}, reason: "unable to pass credentials: k: File too large"},
		{name: "a path for a name", i: job.Isolation{Credentials: []job.Setting{{Key: "../k", Value: key}}}, reason: `unable to pass credentials: illegal name "../k"`},
		{name: "a directory for a name", i: job.Isolation{Credentials: []job.Setting{{Key: "..", Value: key}}}, reason: `unable to pass credentials: illegal name ".."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.i.Namespaces = Namespaces(&c.i, true)
			p := isolated(c.i, "sh", "-c", look)
			p.Setuid, p.Umask = c.user, c.umask
			if text, reason := asRoot.run(t, p); text != c.want || reason != c.reason {
				t.Errorf("got %q, %q, want %q, %q", text, reason, c.want, c.reason)
			}
		})
	}
	if entries, err := os.ReadDir(credentialsDir); err == nil && len(entries) > 0 {
		t.Errorf("there are credentials outside of the jobs: %v", entries)
	}
	var st unix.Stat_t
	if err := unix.Stat(key, &st); err != nil || st.Mode&0o777 != 0o600 || st.Uid != 0 {
		t.Errorf("the source has become %o of %d, %v", st.Mode, st.Uid, err)
	}
}

// TestCredentialsOfAChroot are copied from outside to inside.
func TestCredentialsOfAChroot(t *testing.T) {
	root := t.TempDir()
	inner := root + "/inner"
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "/bin/busybox", inner+"/busybox")
	if err := os.WriteFile(root+"/key", []byte("outer"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := job.Isolation{Credentials: []job.Setting{{Key: "k", Value: root + "/key"}}}
	i.Namespaces = Namespaces(&i, true)
	p := isolated(i, "/busybox", "sh", "-c", "/busybox cat $CREDENTIALS_DIRECTORY/k")
	p.Chroot = inner
	if text, reason := asRoot.run(t, p); text != "outer" || reason != "" {
		t.Errorf("got %q, %q", text, reason)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Skip("no program that runs in an empty root: " + err.Error())
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}
