//go:build race

package main

// raced is set when the race detector watches the tests.
const raced = true
