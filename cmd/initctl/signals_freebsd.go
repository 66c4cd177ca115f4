package main

import "onset/platform/freebsd"

var signals = freebsd.Signals
