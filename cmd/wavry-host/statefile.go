package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wavryhost/session/api/durable"
)

// maxStateFile bounds the files of JSON in the state folder, in bytes.
const maxStateFile = 64 << 10

// readStateFile reads a file of JSON in the state folder into to. A missing file leaves to as it is.
func readStateFile(path string, to any) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() > maxStateFile:
		return fmt.Errorf("%s is not a file of at most %d bytes", path, maxStateFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s is not understood: %w", path, err)
	}
	return nil
}

// writeStateFile replaces a file of JSON in the state folder, and makes the folder if it is missing.
func writeStateFile(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Replace(path, append(text, '\n'))
}
