package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// formerProgram is a copy of the program that a daemon runs. It is in the folder of the installed program while an
// upgrade may go back to it.
type formerProgram struct {
	copied, installed string // paths
}

// keepFormer copies the program that a process runs. The kernel keeps that until the process ends, also when an update
// has replaced its file. The process must have been started by an absolute path, as service managers do.
func keepFormer(pid int) (*formerProgram, error) {
	if pid == 0 {
		return nil, errors.New("the service manager does not say which process the daemon is")
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	command, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if errors.Is(err, os.ErrNotExist) && runtime.GOOS != "linux" {
		return nil, errors.ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	installed, _, _ := strings.Cut(string(command), "\x00")
	if !filepath.IsAbs(installed) {
		return nil, fmt.Errorf("process %d was started as %q, which is no absolute path", pid, installed)
	}
	if installed, err = filepath.EvalSymlinks(installed); err != nil {
		return nil, err
	}
	runs, err := os.Open(filepath.Join(proc, "exe"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = runs.Close() }()
	now, err := os.Stat(installed) // the former one gets its mode
	if err != nil {
		return nil, err
	}
	f := &formerProgram{installed: installed}
	return f, f.keep(runs, now.Mode().Perm())
}

// keep copies the program into the folder of the installed one, so that a rename puts it back.
func (f *formerProgram) keep(program io.Reader, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(f.installed), "."+filepath.Base(f.installed)+".former-*")
	if err != nil {
		return err
	}
	f.copied = file.Name()
	_, err = io.Copy(file, program)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		f.forget()
	}
	return err
}

// restore replaces the installed program by the former one.
func (f *formerProgram) restore() error {
	if err := os.Rename(f.copied, f.installed); err != nil {
		return err
	}
	f.copied = ""
	return nil
}

// forget removes the copy, unless it was put back.
func (f *formerProgram) forget() {
	if f != nil && f.copied != "" {
		_ = os.Remove(f.copied)
	}
}
