//go:build !unix

package desktop

import "os"

// lockFile opens a file. Virtual displays exist on Unix only, so nothing competes for it.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
