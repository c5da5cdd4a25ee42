package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// wrapper sends servers to the program with the race detector and all other commands, which do
// one thing after another, to one without, which starts in a third of the time.
const wrapper = `#!/bin/sh
case "$1" in
run | demo | start) exec %q "$@" ;;
*) exec %q "$@" ;;
esac
`

// commands makes a directory with that wrapper, once for all scripts.
var commands = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "stepgate-commands-"); err != nil {
		return "", err
	}
	plain := filepath.Join(dir, "plain")
	build := exec.Command("go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", plain, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	raced, err := exec.LookPath("stepgate") // that of testscript.Main
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "stepgate"), fmt.Appendf(nil, wrapper, raced, plain), 0o700)
})
