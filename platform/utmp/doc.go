// Package utmp reads and writes the records of boots, runlevels and logins, as
// the C library does: utmp and wtmp on Linux, utx.active and utx.log on
// FreeBSD, which have no runlevels, so these are in a file beside. On other
// systems nothing is found or written.
package utmp
