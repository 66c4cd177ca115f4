module onset/vm/freebsd/guest

go 1.26.0

require (
	golang.org/x/sys v0.49.0
	mvdan.cc/sh/v3 v3.14.1
	onset v0.0.0-00010101000000-000000000000
)

require golang.org/x/term v0.45.0 // indirect

replace onset => ../../..
