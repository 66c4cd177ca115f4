package main

import "onset/platform/linux"

var signals = linux.Signals
