package main

import "slices"

// command is a row of the table.
type command struct {
	section string // in the list of commands; empty in programs
	name    string
	args    string // as the usage line shows them
	summary string // one sentence
	needs   string // what is missing without an argument; empty = nothing
	options []option
	about   string // further help
	run     func(t *tool, args []string) error
}

var (
	noWait    = option{short: 'n', long: "no-wait", help: "return when the request is accepted, not when it is done"}
	jsonOut   = option{long: "json", help: "print JSON"}
	global    = option{short: 'g', long: "global", help: "work on the global environment table, also inside a job"}
	enumerate = option{short: 'e', long: "enumerate", help: "print each event on a line of its own, aliases written out"}
)

const (
	jobArgs = "JOB [KEY=VALUE]..."

	aboutJob = "JOB is the name of a job; the KEY=VALUE variables choose one of its instances and go into its environment. " +
		"Without arguments, inside a job, the job itself is meant."
	aboutEnv = "Inside a job the table is that job's, elsewhere and with --global the one all jobs start with."
)

// commands is the table of commands, in the order of the list.
var commands = [...]command{
	{"Job", "start", jobArgs, "Start a job.", "", []option{noWait}, aboutJob, (*tool).start},
	{"Job", "stop", jobArgs, "Stop a job.", "", []option{noWait,
		{long: "force", help: "kill a process that the job waits for"}}, aboutJob, (*tool).stop},
	{"Job", "restart", jobArgs, "Stop and start a job that runs.", "", []option{noWait}, aboutJob, (*tool).restart},
	{"Job", "reload", jobArgs, "Send the reload signal to a job.", "", nil, aboutJob, (*tool).reload},
	{"Job", "status", jobArgs, "Show the state of a job.", "", []option{
		{long: "tree", help: "show all processes of the job, below their parents"}, jsonOut}, aboutJob +
		" The name of an abstract service stands for the jobs that provide it.", (*tool).status},
	{"Job", "list", "", "Show the state of all jobs.", "", []option{jsonOut}, "", (*tool).list},
	{"Job", "usage", "JOB", "Show how a job wants to be started.", "", nil, "", (*tool).usage},
	{"Job", "why", "JOB [INSTANCE]", "Show why a job runs or does not.", "job name", []option{
		{short: 'a', long: "all", help: "show the whole history, not the last change of each instance"}, jsonOut},
		"Each line is the cause of the one before it, back to a person or the start of init.", (*tool).why},

	{"Event", "emit", "EVENT [KEY=VALUE]...", "Emit an event.", "event name", []option{noWait},
		"The KEY=VALUE variables are the environment of the event, in that order.", (*tool).emit},
	{"Event", "fact", "set|clear NAME [KEY=VALUE]...", "Set or clear a fact.", "action", nil,
		"A fact holds until it is cleared; jobs refer to it with `while'.", (*tool).fact},
	{"Event", "facts", "", "List the facts that hold.", "", []option{jsonOut}, "", (*tool).facts},
	{"Event", "timers", "", "Show when jobs start by time.", "", []option{jsonOut},
		"Timers are listed by when they are due next.", (*tool).timers},

	{"System", "suspend", "", "Suspend the machine.", "", []option{
		{long: "hibernate", help: "write memory to disk and switch off"},
		{long: "suspend-timeout", value: "SECONDS", help: "how long jobs may take to get ready [10]"}},
		"The event `suspending' holds it up until jobs are ready, and `resumed' follows it. Where logind or elogind runs it is asked, " +
			"and its own time counts.", (*tool).suspend},

	{"Environment", "get-env", "VARIABLE", "Print a variable of the job environment.", "variable name",
		[]option{global}, aboutEnv, (*tool).getEnv},
	{"Environment", "list-env", "", "Print the job environment.", "", []option{global, jsonOut}, aboutEnv, (*tool).listEnv},
	{"Environment", "set-env", "VARIABLE[=VALUE]...", "Set variables of the job environment.", "variable value",
		[]option{global, {short: 'r', long: "retain", help: "do not change variables that are set"}}, aboutEnv, (*tool).setEnv},
	{"Environment", "unset-env", "VARIABLE...", "Remove variables from the job environment.", "variable name",
		[]option{global}, aboutEnv, (*tool).unsetEnv},
	{"Environment", "reset-env", "", "Revert all changes of the job environment.", "", []option{global}, aboutEnv, (*tool).resetEnv},

	{"Other", "reload-configuration", "", "Reload the configuration of init.", "", nil,
		"Rarely needed: init notices changed files by itself where the kernel tells.", (*tool).reloadConfiguration},
	{"Other", "version", "", "Show the version of init.", "", nil, "", (*tool).version},
	{"Other", "log-priority", "[PRIORITY]", "Show or change how much init logs.", "", nil,
		"PRIORITY is debug, info, message, warn, error or fatal.", (*tool).logPriority},
	{"Other", "show-config", "[CONF]", "Show emits, start on and stop on of jobs.", "", []option{enumerate, jsonOut}, "", (*tool).showConfig},
	{"Other", "check-config", "[CONF]", "Find conditions that can never be met.", "", []option{
		{short: 'i', long: "ignore-events", value: "LIST", help: "events, separated by commas, that are taken as known"},
		{short: 'w', long: "warn", help: "complain about every unknown event and job"}}, "", (*tool).checkConfig},
	{"Other", "notify-disk-writeable", "", "Tell init that logs can be written now.", "", nil, "", (*tool).notifyDisk},
	{"Other", "notify-dbus-address", "ADDRESS", "Tell a session init the address of its bus.", "D-Bus address", nil, "", (*tool).notifyBus},
	{"Other", "notify-cgroup-manager-address", "ADDRESS", "Tell init the address of the cgroup manager.", "address", nil, "", (*tool).notifyCGroups},
	{"Other", "list-sessions", "", "List the session inits of the user.", "", nil, "", (*tool).listSessions},
	{"Other", "help", "", "List the commands.", "", nil, "", (*tool).help},
}

// ignored are options of other systems that change nothing here.
func ignored(shorts string, value string) []option {
	var list []option
	for i := range len(shorts) {
		list = append(list, option{short: shorts[i], value: value, hidden: true})
	}
	return list
}

var rebootOptions = append([]option{
	{short: 'n', long: "no-sync", help: "do not write disk buffers first"},
	{short: 'f', long: "force", help: "do not call shutdown, end the machine now"},
	{short: 'p', long: "poweroff", help: "switch off the power instead of halting"},
	{short: 'w', long: "wtmp-only", help: "only write a record to wtmp"},
}, ignored("dih", "")...)

// programs are what the binary is under other names.
var programs = [...]command{
	{"", "runlevel", "[UTMP]", "Show the previous and the current runlevel.", "", nil,
		"They are in the environment, in the file UTMP, or in the system's records.", (*tool).runlevel},
	{"", "telinit", "RUNLEVEL", "Change the runlevel.", "", append([]option{
		{short: 'e', long: "env", value: "KEY=VALUE", help: "add a variable to the environment of the runlevel event"}},
		ignored("t", "SECONDS")...),
		"RUNLEVEL is 0 to 6 or S; Q makes init reload its configuration, and U makes it start itself anew.", (*tool).telinit},
	{"", "shutdown", "TIME [MESSAGE]...", "Bring the system down.", "", slices.Concat([]option{
		{short: 'r', help: "reboot"},
		{short: 'h', help: "halt or power off"},
		{short: 'H', help: "halt (implies -h)"},
		{short: 'P', help: "power off (implies -h)"},
		{short: 'p', help: "the same, as on BSD"},
		{short: 'c', help: "cancel a running shutdown"},
		{short: 'k', help: "only send warnings, do not shut down"},
		{short: 'g', value: "TIME", help: "when, instead of the first argument"},
	}, ignored("anfFy", ""), ignored("i", "LEVEL"), ignored("t", "SECONDS")),
		"TIME is now, HH:MM or a number of minutes. Without -r, -h, -H or -P the system enters maintenance.", (*tool).shutdown},
	{"", "reboot", "[ARG]", "Reboot the system.", "", rebootOptions,
		"With --force ARG is given to the firmware.", (*tool).reboot},
	{"", "halt", "", "Halt the system.", "", rebootOptions, "", (*tool).reboot},
	{"", "poweroff", "", "Power off the system.", "", rebootOptions, "", (*tool).reboot},
	{"", "init-checkconf", "FILE", "Check the syntax of a job file.", "", []option{
		{short: 'f', long: "file", value: "FILE", help: "the file, instead of the argument"},
		{short: 's', long: "noscript", help: "do not let the shell check the scripts"},
		{short: 'd', long: "debug", hidden: true},
		{short: 'i', long: "initctl-path", value: "PATH", hidden: true}, // no init is started
		{short: 'x', long: "upstart-path", value: "PATH", hidden: true},
		{short: 'h', long: "help", hidden: true}},
		"The exit status is 0 only where it says that the syntax is ok.", (*tool).checkConf},
}
