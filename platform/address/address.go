// Package address says at which D-Bus address an init listens, for itself and
// for its clients. Linux has names for sockets that no file system holds
// (UPSTART §6.1). Elsewhere a socket is a file: that of the machine's init in
// /var/run, where a file system may be mounted over it, and that of a
// session in the user's runtime directory.
package address
