// Package utmp reads and writes the records of boots, runlevels and logins in
// utmp and wtmp, as the C library does. A file that is missing is not made.
// Other systems than Linux have no such files: nothing is found or written.
package utmp
