// Package durable writes files so that a crash leaves either the old content or the new one.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// newSuffix is in the names of files that will replace the old one.
const newSuffix = ".new-"

// Replace replaces the file at path, and returns when text is on the disk. Only the owner can read the new file.
func Replace(path string, text []byte) error { return replace(path, text, 0o600) }

// Publish is Replace for a file that everybody may read.
func Publish(path string, text []byte) error { return replace(path, text, 0o644) }

func replace(path string, text []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err == nil {
		err = f.Chmod(mode)
	}
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

// syncFolder makes the name of the file at path survive a crash, if the system can synchronize folders.
func syncFolder(path string) {
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// Create creates the file at path, and returns when text is on the disk. Only the owner can read it. Readers never see
// a part of text. If the file exists, Create leaves it alone and returns fs.ErrExist.
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
	// A link, unlike a rename, replaces nothing. On systems without links, another process may create the file between
	// the check above and the rename.
	if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		syncFolder(path)
	}
	return err
}

// Append appends text to the file at path, which must exist, and returns when it is on the disk. After an error the
// file may contain a part of text.
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

// Tidy removes the files that a crash left while it replaced the file at path.
func Tidy(path string) {
	left, err := filepath.Glob(path + newSuffix + "*")
	if err != nil {
		return
	}
	for _, name := range left {
		_ = os.Remove(name)
	}
}
