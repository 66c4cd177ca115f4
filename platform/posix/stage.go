package posix

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"onset/core/env"
	"onset/core/job"
)

// stageName is the argv[0] of the exec stage.
const stageName = "onset-exec"

// StageFailed is how a stage exits whose report says why.
const StageFailed = 255

// StageEnv is the environment of the stage itself, which should not depend on
// that of the job.
var StageEnv = []string{"GOMAXPROCS=1", "GOGC=off"}

// StageArgv are the arguments of a stage with its plan and its report on
// these descriptors.
func StageArgv(plan, report int) []string {
	return []string{stageName, strconv.Itoa(plan), strconv.Itoa(report)}
}

// StageFDs are the descriptors in the arguments of a process, if those are
// the arguments of a stage.
func StageFDs(argv []string) (plan, report int, ok bool) {
	if len(argv) != 3 || argv[0] != stageName {
		return -1, -1, false
	}
	plan, err := strconv.Atoi(argv[1])
	report, failed := strconv.Atoi(argv[2])
	return plan, report, err == nil && failed == nil
}

func init() {
	if _, _, ok := StageFDs(os.Args); ok {
		runtime.LockOSThread() // ids, priority and trace are those of a thread
	}
}

// StageMain becomes the program of a plan if this process is an exec stage,
// and returns otherwise. It comes first in main.
func StageMain() {
	planFD, report, ok := StageFDs(os.Args)
	if !ok {
		return
	}
	unix.CloseOnExec(planFD)
	unix.CloseOnExec(report)
	err := &SetupError{Step: StepText, Text: errPlan.Error()}
	text, failed := io.ReadAll(io.LimitReader(os.NewFile(uintptr(planFD), "plan"), maxPlan))
	if failed == nil {
		if plan, bad := DecodePlan(text); bad == nil {
			err = (&stage{Plan: plan, report: report}).run()
		}
	}
	err.send(report)
	unix.Exit(StageFailed)
}

// stage carries out a plan.
type stage struct {
	*Plan
	report int
	ids    IDs
	named  bool    // setuid or setgid
	images []*byte // paths to execute
	argv   []*byte
	shell  []*byte // argv without its first, for a program without format
	env    []*byte
	entering
	listening
	privilege
	mounting
	callFilter
	opened []credential
}

// run does the steps of UPSTART §4.3 that the caller's fork did not, and
// returns only with the one that failed.
func (s *stage) run() *SetupError {
	steps := []func() *SetupError{s.cgroups, s.console, s.profile}
	if !s.Bare {
		steps = append(steps, s.mask, s.priority, s.oom, s.scheduling, s.namespaces, s.session, s.sources,
			s.envFiles, s.compile, s.openCredentials, s.root, s.mounts, s.unprivileged, s.directory, s.tmpfiles, s.identify, s.chown, s.credentials, s.privileges)
	}
	for _, step := range append(steps, s.handOver, s.prepareListens, s.prepare) {
		if err := step(); err != nil {
			return err
		}
	}
	return s.execute()
}

const noCgroup = "unable to enter cgroup"

func fault(step Step, err error) *SetupError {
	switch e := err.(type) {
	case nil:
		return nil
	case syscall.Errno:
		return &SetupError{Step: step, Errno: e}
	case *os.PathError:
		return fault(step, e.Err)
	case *os.SyscallError:
		return fault(step, e.Err)
	}
	return &SetupError{Step: step, Errno: unix.EINVAL}
}

// failure is a failed step that has no place in UPSTART's table.
func failure(what string, err error) *SetupError {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return &SetupError{Step: StepText, Text: what, Errno: errno}
	}
	return &SetupError{Step: StepText, Text: what + ": " + err.Error()}
}

func (s *stage) console() *SetupError {
	if s.Console != job.ConsoleOutput && s.Console != job.ConsoleOwner {
		return nil
	}
	fd, err := unix.Open(s.ConsolePath, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err == nil && s.Console == job.ConsoleOwner {
		err = takeTerminal(fd)
	}
	if err != nil {
		if s.Console == job.ConsoleOutput {
			fault(StepConsoleWarning, err).send(s.report)
			return nil // the caller gave /dev/null
		}
		return fault(StepConsole, err)
	}
	for to := range 3 {
		if err := dup(fd, to); err != nil {
			return fault(StepConsole, err)
		}
	}
	return fault(StepConsole, unix.Close(fd))
}

func (s *stage) mask() *SetupError {
	if s.Umask >= 0 {
		unix.Umask(s.Umask)
	}
	return nil
}

func (s *stage) priority() *SetupError {
	if !s.HasNice {
		return nil
	}
	return fault(StepPriority, unix.Setpriority(unix.PRIO_PROCESS, 0, s.Nice))
}

// session enters the chroot of the session, where all paths of its jobs are.
func (s *stage) session() *SetupError { return enter(s.Root) }

func (s *stage) root() *SetupError { return enter(s.Chroot) }

func enter(root string) *SetupError {
	if root == "" {
		return nil
	}
	return fault(StepRoot, unix.Chroot(root))
}

func (s *stage) directory() *SetupError {
	if s.Dir == "" {
		return nil
	}
	return fault(StepDirectory, unix.Chdir(s.Dir))
}

// identify looks names up inside the chroot.
func (s *stage) identify() (err *SetupError) {
	s.named = s.Setuid != "" || s.Setgid != ""
	s.ids, err = Identify(s.Setuid, s.Setgid, os.Geteuid(), os.Getegid())
	if err == nil && len(s.Isolation.Setgroups) > 0 {
		s.ids.Groups, err = findGroups(s.Isolation.Setgroups)
		s.ids.Asked = true
	}
	return err
}

func (s *stage) chown() *SetupError {
	if !s.named || !s.Script {
		return nil
	}
	return fault(StepChown, unix.Fchown(ScriptFD, s.ids.UID, s.ids.GID))
}

// prepare turns everything into what the kernel takes.
func (s *stage) prepare() *SetupError {
	if len(s.Argv) == 0 {
		return fault(StepExecute, unix.ENOENT)
	}
	var err error
	if s.argv, err = syscall.SlicePtrFromStrings(s.Argv); err != nil {
		return fault(StepExecute, err)
	}
	if s.env, err = syscall.SlicePtrFromStrings(s.Env); err != nil {
		return fault(StepExecute, err)
	}
	for _, path := range Candidates(s.Argv[0], env.Table(s.Env)) {
		b, err := syscall.BytePtrFromString(path)
		if err != nil {
			return fault(StepExecute, err)
		}
		s.images = append(s.images, b)
	}
	// A text without an interpreter line is a script of the shell: execvp.
	if s.shell, err = syscall.SlicePtrFromStrings(append([]string{shell, ""}, s.Argv[1:]...)); err != nil {
		return fault(StepExecute, err)
	}
	return nil
}

// execute does what is left, without taking memory, and becomes the program.
func (s *stage) execute() *SetupError {
	s.tellListens() // while it may
	if err := s.enterCgroups(); err != nil {
		return err
	}
	unraise()
	if !s.Bare {
		for i := range s.Limits {
			if err := setLimit(i, &s.Limits[i]); err != nil {
				return &SetupError{Step: StepLimit, Arg: byte(i), Errno: err.(syscall.Errno)}
			}
		}
		if err := s.lower(); err != nil {
			return err
		}
	}
	if s.Debug {
		unix.Close(s.report)
		unix.Kill(unix.Getpid(), unix.SIGSTOP)
	}
	if s.Trace {
		beTracked(s.report + 1)
	}
	if errno := s.install(); errno != 0 {
		return &SetupError{Step: StepText, Text: noProfile, Errno: errno}
	}
	return &SetupError{Step: StepExecute, Errno: s.become()}
}

// lower goes from the privileges of init to those of the job.
func (s *stage) lower() *SetupError {
	if errno := s.beforeIDs(); errno != 0 {
		return &SetupError{Step: StepText, Text: noCapabilities, Errno: errno}
	}
	if step, errno := setIDs(&s.ids, s.named); errno != 0 {
		return &SetupError{Step: step, Errno: errno}
	}
	if errno := s.afterIDs(); errno != 0 {
		return &SetupError{Step: StepText, Text: noCapabilities, Errno: errno}
	}
	if !s.Isolation.NoNewPrivs {
		return nil
	}
	if errno := setNoNewPrivileges(); errno != 0 {
		return &SetupError{Step: StepText, Text: "unable to set no new privileges", Errno: errno}
	}
	return nil
}

// become tries the candidates in the manner of execvp.
func (s *stage) become() unix.Errno {
	result := unix.ENOENT
	for i := range s.images {
		errno := execve(s.images[i], s.argv, s.env)
		if errno == unix.ENOEXEC {
			s.shell[1] = s.images[i]
			errno = execve(s.shell[0], s.shell, s.env)
		}
		switch {
		case len(s.images) == 1:
			return errno
		case errno == unix.EACCES:
			result = errno
		case errno == unix.ENOENT, errno == unix.ENOTDIR, errno == unix.ESTALE, errno == unix.ENODEV, errno == unix.ETIMEDOUT:
		default:
			return errno
		}
	}
	return result
}

// beTracked waits at the gate behind the report until it is closed: until the
// manager follows this process, or is dead.
func beTracked(gate int) {
	var b [1]byte
	for {
		_, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(gate), uintptr(unsafe.Pointer(&b[0])), 1)
		if errno != unix.EINTR {
			break
		}
	}
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(gate), 0, 0)
}

func execve(path *byte, argv, env []*byte) unix.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])))
	return errno
}
