package posix

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"onset/core/env"
)

// credentialsDir is where the credentials of a job are mounted, in its own
// mount namespace; an init that may not make it takes one of its user.
const (
	credentialsDir  = "/run/credentials"
	credentialsVar  = "CREDENTIALS_DIRECTORY"
	maxCredential   = 1 << 20 // bytes
	noCredentials   = "unable to pass credentials"
	credentialsMode = 0o500
)

// credential is an open source.
type credential struct {
	name string
	file *os.File
}

// openCredentials opens the files while all of init's are there (EXTENSIONS §5).
func (s *stage) openCredentials() *SetupError {
	for _, c := range s.Isolation.Credentials {
		if c.Key == "" || c.Key == "." || c.Key == ".." || strings.Contains(c.Key, "/") {
			return failure(noCredentials, fmt.Errorf("illegal name %q", c.Key))
		}
		f, err := os.Open(c.Value)
		if err != nil {
			return failure(noCredentials+": "+c.Value, err)
		}
		s.opened = append(s.opened, credential{c.Key, f})
	}
	if len(s.opened) > 0 && s.Chroot == "" {
		s.makeCredentialsDir() // what fails is tried again when all of the job's mounts are made
	}
	return nil
}

// makeCredentialsDir returns a place to mount at.
func (s *stage) makeCredentialsDir() (dir string, err error) {
	defer unix.Umask(unix.Umask(0))
	if err = os.MkdirAll(credentialsDir, 0o755); err == nil {
		return credentialsDir, nil
	}
	if runtime, ok := env.Table(s.Env).Lookup("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(runtime) {
		dir = filepath.Join(runtime, "credentials")
		return dir, os.MkdirAll(dir, 0o700)
	}
	return "", err
}

// credentials copies the files to where only the job finds them.
func (s *stage) credentials() *SetupError {
	if len(s.opened) == 0 {
		return nil
	}
	dir, err := s.makeCredentialsDir()
	if err == nil {
		err = mountSecrets(dir)
	}
	if err != nil {
		return failure(noCredentials, err)
	}
	for _, c := range s.opened {
		if err := s.pass(c, filepath.Join(dir, c.name)); err != nil {
			return failure(noCredentials+": "+c.name, err)
		}
	}
	if err := unix.Chown(dir, s.ids.UID, s.ids.GID); err != nil {
		return failure(noCredentials, err)
	}
	if err := sealSecrets(dir); err != nil {
		return failure(noCredentials, err)
	}
	s.Env = env.Table(s.Env).Set(credentialsVar+"="+dir, true)
	return nil
}

func (s *stage) pass(c credential, to string) error {
	defer c.file.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(c.file, maxCredential+1))
	switch {
	case err != nil:
		return err
	case n > maxCredential:
		return unix.EFBIG
	}
	if err := f.Chmod(0o400); err != nil { // whatever the umask
		return err
	}
	return f.Chown(s.ids.UID, s.ids.GID)
}
