//go:build unix

package main

import "io/fs"

// exposed tells whether every user of the machine can get at the file.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o007 != 0 }
