//go:build !linux

package main

import "testing"

func kinds(*testing.T, string) string { return "" }
