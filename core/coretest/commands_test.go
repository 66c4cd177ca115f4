package coretest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onset/core/control"
	"onset/core/engine"
	"onset/core/env"
	"onset/core/job"
	"onset/platform/sim"
)

// args are the words of a command. A command of the form "NAME: COMMAND …"
// comes from the client of that name, else from c1.
type args struct {
	client string
	words  []string
	body   string // lines that begin with | behind the command
}

// word returns the i-th word, or empty.
func (a args) word(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}

// rest returns the words from the i-th.
func (a args) rest(i int) []string { return a.words[min(i, len(a.words)):] }

// flag takes a word out and reports whether it was there.
func (a *args) flag(name string) bool {
	n := len(a.words)
	a.words = slices.DeleteFunc(slices.Clone(a.words), func(w string) bool { return w == name })
	return len(a.words) < n
}

// command is one command of the script language.
type command struct {
	early bool // does not boot
	do    func(*runner, args)
}

var commands map[string]command

func init() {
	commands = map[string]command{
		// Set-up: before the boot.
		"option": {true, (*runner).option}, // mode=session uid=1000 priority=info …
		"show":   {true, (*runner).show},   // show THING… | show log PRIORITY
		"hide":   {true, (*runner).hide},   // hide THING…
		"client": {true, (*runner).client}, // client NAME uid=1000 session=/srv
		"manual": {true, func(r *runner, _ args) { r.world.Manual = true }},
		"auto":   {true, func(r *runner, _ args) { r.world.Manual = false }},
		"boot":   {false, func(*runner, args) {}},

		// Requests over the control API.
		"start":                {false, jobCall(control.JobStart)}, // start JOB [KEY=VALUE]… [--no-wait]
		"stop":                 {false, jobCall(control.JobStop)},
		"restart":              {false, jobCall(control.JobRestart)},
		"get-instance":         {false, jobCall(control.JobGetInstance)},
		"instance-by-name":     {false, (*runner).instanceByName}, // instance-by-name JOB [INSTANCE]
		"instances":            {false, jobCall(control.JobGetAllInstances)},
		"instance-start":       {false, instanceCall(control.InstanceStart)}, // instance-start JOB[:INSTANCE]
		"instance-stop":        {false, instanceCall(control.InstanceStop)},
		"instance-restart":     {false, instanceCall(control.InstanceRestart)},
		"stop-force":           {false, instanceCall(control.InstanceStopForce)},
		"tree":                 {false, instanceCall(control.InstanceGetTree)},
		"reload":               {false, instanceCall(control.InstanceReload)},
		"emit":                 {false, (*runner).emit},
		"get-job":              {false, namedCall(control.GetJobByName)},
		"list":                 {false, managerCall(control.GetAllJobs)},
		"state":                {false, managerCall(control.GetState)},
		"reexec":               {false, managerCall(control.Restart)},
		"reload-configuration": {false, managerCall(control.ReloadConfiguration)},
		"end-session":          {false, managerCall(control.EndSession)},
		"disk-writeable":       {false, managerCall(control.NotifyDiskWriteable)},
		"dbus-address":         {false, valueCall(control.NotifyDBusAddress)},
		"cgroup-address":       {false, valueCall(control.NotifyCGroupManagerAddress)},
		"get-env":              {false, envCall(control.GetEnv)}, // get-env [JOB[:INSTANCE]/] NAME
		"set-env":              {false, envCall(control.SetEnvList)},
		"unset-env":            {false, envCall(control.UnsetEnvList)},
		"list-env":             {false, envCall(control.ListEnv)},
		"reset-env":            {false, envCall(control.ResetEnv)},
		"fact":                 {false, (*runner).fact},   // fact set|clear NAME [KEY=VALUE]…
		"assert":               {false, (*runner).assert}, // assert NAME [KEY=VALUE]… [--file=N]
		"retract":              {false, namedCall(control.RetractFact)},
		"facts":                {false, managerCall(control.GetFacts)},
		"providers":            {false, namedCall(control.GetProviders)},
		"why":                  {false, (*runner).why},
		"status":               {false, (*runner).status},                                // status JOB[:INSTANCE]
		"show-config":          {false, (*runner).showConfig},                            // show-config [-e] JOB
		"properties":           {false, (*runner).properties},                            // properties [JOB[:INSTANCE] [NAME…]]
		"set-priority":         {false, (*runner).setPriority},                           // set-priority PRIORITY
		"hangup":               {false, func(r *runner, a args) { r.hangup(a.word(0)) }}, // hangup CLIENT

		// What the kernel and the processes do. A process is a pid or
		// JOB[:INSTANCE]/SLOT, the oldest living one of it.
		"exit":      {false, (*runner).exit},                                                       // exit PROCESS [CODE]
		"die":       {false, (*runner).die},                                                        // die PROCESS SIGNAL
		"oom":       {false, func(r *runner, a args) { r.world.Starve(r.process(a.word(0)).PID) }}, // oom PROCESS
		"raise":     {false, (*runner).raise},
		"fork":      {false, func(r *runner, a args) { r.out.say("", "child %d", r.world.Fork(r.process(a.word(0)).PID)) }},
		"exec":      {false, func(r *runner, a args) { r.world.Execute(r.process(a.word(0)).PID) }},
		"notify":    {false, (*runner).notify}, // notify PROCESS [--file=N]… LINE[; LINE]…
		"sign":      {false, func(r *runner, a args) { r.world.Sign(r.process(a.word(0)).PID) }},
		"fail-exec": {false, (*runner).failExec}, // fail-exec PROCESS REASON, in manual mode
		"fail-next": {true, (*runner).failNext},  // fail-next N spawn|temporary|exec REASON
		"ps":        {false, (*runner).ps},
		"env":       {false, (*runner).env}, // env PROCESS [NAME]…: of the last spawn
		"spec":      {false, (*runner).spec},
		"files":     {false, (*runner).files}, // files PROCESS: descriptors at the last spawn
		"tell":      {false, (*runner).tell},  // tell reload|reexec|shutdown|…
		"advance":   {false, func(r *runner, a args) { r.manager.Pass(r.duration(a.word(0))) }},
		"wall":      {false, func(r *runner, a args) { r.world.StepWall(r.duration(a.word(0))) }},
		"crash":     {false, func(r *runner, _ args) { r.manager.Crash() }},

		// Files; write FILE [FROM] takes the text from the archive or from
		// the lines behind the command that begin with |.
		"write": {false, (*runner).write},
		"rm":    {false, func(r *runner, a args) { r.world.RemoveFile(r.path(a.word(0))) }},
		"mv":    {false, func(r *runner, a args) { r.world.RenameFile(r.path(a.word(0)), r.path(a.word(1))) }},
		"rmdir": {false, func(r *runner, a args) { r.world.RemoveSource(a.word(0)) }}, // rmdir /etc/init
		"break": {false, func(r *runner, a args) { r.world.BreakFile(r.path(a.word(0)), strings.Join(a.rest(1), " ")) }},
	}
}

func defaultOptions() engine.Options {
	return engine.Options{Mode: engine.System, PID: 1, Program: "init", Version: "upstart 1.13.2", Signals: sim.Signals,
		Env: env.Table{"PATH=/bin", "TERM=linux"}, LogDir: "/var/log/upstart", StartupEvent: "startup",
		LogPriority: engine.Message, AppArmor: true, NotifySocket: "/run/onset/notify"}
}

func (r *runner) option(a args) {
	for _, w := range a.words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "mode":
			r.options.Mode = map[string]engine.Mode{"system": engine.System, "session": engine.Session, "test": engine.Test}[value]
			if r.options.Mode != engine.System && r.options.PID == 1 {
				r.options.PID, r.options.UID = 500, 1000
			}
		case "uid":
			r.options.UID = r.number(value)
		case "pid":
			r.options.PID = r.number(value)
		case "startup":
			r.options.StartupEvent = value
		case "program":
			r.options.Program = value
		case "env":
			r.options.Env = r.options.Env.Set(value, true)
		case "inherit-env":
			r.options.InheritEnv = true
		case "address":
			r.options.Address = value
		case "console":
			r.options.Console = map[string]job.Console{"log": job.ConsoleLog, "none": job.ConsoleNone,
				"output": job.ConsoleOutput, "owner": job.ConsoleOwner}[value]
		case "no-log":
			r.options.NoLog = true
		case "log-dir":
			r.options.LogDir = value
		case "chroot-sessions":
			r.options.ChrootSessions = true
		case "no-groups":
			r.world.NoGroups = true
		case "no-apparmor":
			r.options.AppArmor = false
		case "no-notify":
			r.options.NotifySocket = ""
		case "debug-stanza":
			r.options.DebugStanza = true
		case "priority":
			r.options.LogPriority = r.priority(value)
			r.out.least = r.options.LogPriority
		default:
			r.fatalf("unknown option %s", key)
		}
	}
}

func (r *runner) show(a args) {
	if a.word(0) == "log" {
		r.out.least = r.priority(a.word(1))
		return
	}
	r.choose(a.words, true)
}

func (r *runner) hide(a args) {
	if a.word(0) == "log" {
		r.out.least = engine.Fatal + 1
		return
	}
	r.choose(a.words, false)
}

func (r *runner) choose(things []string, shown bool) {
	for _, w := range things {
		if !slices.Contains(showable, w) {
			r.fatalf("%s cannot be shown or hidden", w)
		}
		r.out.shown[w] = shown
	}
}

func (r *runner) exit(a args) {
	code := 0
	if a.word(1) != "" {
		code = r.number(a.word(1))
	}
	r.world.End(r.process(a.word(0)).PID, job.Exit(code))
}

func (r *runner) die(a args) {
	r.world.End(r.process(a.word(0)).PID, job.Killed(r.signal(a.word(1))))
}

func (r *runner) raise(a args) { r.world.Signal(r.process(a.word(0)).PID, r.signal(a.word(1))) }

func (r *runner) failExec(a args) {
	r.world.FailExecute(r.process(a.word(0)).PID, strings.Join(a.rest(1), " "))
}

func (r *runner) failNext(a args) {
	e := sim.SpawnError{Reason: strings.Join(a.rest(2), " "), Temporary: a.word(1) == "temporary", Exec: a.word(1) == "exec"}
	for range r.number(a.word(0)) {
		r.world.FailSpawns(e)
	}
}

func (r *runner) ps(args) {
	for _, p := range r.world.Processes() {
		r.out.say("", "%d %s", p.PID, slotName(p.Spec))
	}
}

// process finds a living process by pid or name.
func (r *runner) process(name string) *sim.Process {
	pid, err := strconv.Atoi(name)
	for _, p := range r.world.Processes() {
		if err == nil && p.PID == pid || err != nil && slotName(p.Spec) == name {
			return p
		}
	}
	r.fatalf("no process %s", name)
	return nil
}

func (r *runner) lastSpawn(name string) *job.Spec {
	s := r.out.spawned[name]
	if s == nil {
		r.fatalf("%s was not spawned", name)
	}
	return s
}

func (r *runner) env(a args) {
	for _, e := range r.lastSpawn(a.word(0)).Env {
		if len(a.words) == 1 || slices.Contains(a.rest(1), env.Key(e)) {
			r.out.say("", "  %s", e)
		}
	}
}

func (r *runner) files(a args) {
	s := r.lastSpawn(a.word(0))
	r.out.say("", "%s", strings.TrimRight(fmt.Sprintf("  %v %s", s.Files, strings.Join(s.ListenNames, " ")), " "))
}

// notify has a process send a message of the sd_notify protocol.
func (r *runner) notify(a args) {
	var files []int
	words := a.rest(1)
	for len(words) > 0 && strings.HasPrefix(words[0], "--file=") {
		files = append(files, r.number(words[0][len("--file="):]))
		words = words[1:]
	}
	r.world.Notify(r.process(a.word(0)).PID, strings.Split(strings.Join(words, " "), "; "), files...)
}

// spec shows how a process is set up, but for its environment.
func (r *runner) spec(a args) {
	s := *r.lastSpawn(a.word(0))
	s.Env = nil
	r.out.say("", "%s", sim.Describe(engine.Spawn{Spec: &s}))
}

var requests = map[string]engine.Request{"reload": engine.Reload, "reexec": engine.ReExec, "shutdown": engine.Shutdown,
	"control-alt-delete": engine.ControlAltDelete, "keyboard-request": engine.KeyboardRequest,
	"power-status-changed": engine.PowerStatusChanged, "reconnect-bus": engine.ReconnectBus, "subreaper-failed": engine.SubreaperFailed,
	"power-button": engine.PowerButton, "halt": engine.HaltMachine, "reboot": engine.RebootMachine, "single-user": engine.SingleUser}

func (r *runner) tell(a args) {
	what, ok := requests[a.word(0)]
	if !ok {
		r.fatalf("unknown request %s", a.word(0))
	}
	r.world.Tell(what)
}

func (r *runner) write(a args) {
	text := a.body
	if text == "" {
		from := a.word(1)
		if from == "" {
			from = a.word(0)
		}
		var ok bool
		if text, ok = r.archive.file(from); !ok {
			r.fatalf("the archive has no file %s", from)
		}
	}
	r.world.WriteFile(r.path(a.word(0)), text)
}

func (r *runner) path(name string) string {
	path, _ := configPath(name)
	return path
}

func (r *runner) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		r.fatalf("%v", err)
	}
	return n
}

func (r *runner) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		r.fatalf("%v", err)
	}
	return d
}

func (r *runner) signal(name string) job.Signal {
	n, ok := sim.Signals.Number(name)
	if !ok {
		r.fatalf("unknown signal %s", name)
	}
	return n
}

func (r *runner) priority(name string) engine.Priority {
	for p := engine.Debug; p <= engine.Fatal; p++ {
		if p.String() == name {
			return p
		}
	}
	r.fatalf("unknown priority %s", name)
	return 0
}
