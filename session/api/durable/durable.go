// Package durable writes files so that a crash leaves either what was there or what was to be.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// newSuffix is in the names of files that are to replace the old one.
const newSuffix = ".new-"

// Replace replaces the file at path, which only its owner can read then, and returns when text is on the disk.
func Replace(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newSuffix) // readable for its owner alone
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	syncFolder(path)
	return nil
}

// syncFolder has the name of the file at path outlast a crash, where folders can be synchronized.
func syncFolder(path string) {
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// Create makes the file at path, which only its owner can read, and returns when text is on the disk. It never shows a part of text, and
// leaves a file alone that is there: the error is fs.ErrExist then.
func Create(path string, text []byte) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newSuffix)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	// A link, unlike a new name, replaces nothing. Where there are none, the moment since the look above is left to chance.
	if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		syncFolder(path)
	}
	return err
}

// Append appends text to the file at path, which must be there, and returns when it is on the disk. After an error there may be a part of it.
func Append(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Tidy removes what a crash left of replacing the file at path.
func Tidy(path string) {
	left, err := filepath.Glob(path + newSuffix + "*")
	if err != nil {
		return
	}
	for _, name := range left {
		_ = os.Remove(name)
	}
}
