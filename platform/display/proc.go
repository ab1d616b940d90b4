package display

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// stamp changes when a file is replaced or changed.
func stamp(info fs.FileInfo) string {
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano(), identity(info))
}

// stampOf returns the stamps of files.
func stampOf(paths ...string) string {
	var all []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			all = append(all, stamp(info))
		} else {
			all = append(all, "")
		}
	}
	return strings.Join(all, "\n")
}

// listeners returns the paths of listening sockets that the kernel lists. Sockets of other containers are missing.
func listeners(proc string) map[string]bool {
	b, err := os.ReadFile(filepath.Join(proc, "net/unix"))
	if err != nil {
		return nil
	}
	return parseListeners(string(b))
}

// parseListeners reads Linux' /proc/net/unix.
func parseListeners(text string) map[string]bool {
	const flagListens = 0x10000
	all := make(map[string]bool)
	for line := range strings.Lines(text) {
		// Num RefCount Protocol Flags Type St Inode Path
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		if flags, err := strconv.ParseUint(f[3], 16, 32); err == nil && flags&flagListens != 0 {
			all[f[7]] = true
		}
	}
	return all
}

// commandLine is the command line of a process.
type commandLine struct {
	path string // of its file
	args []string
}

// commandLines returns the readable command lines of all processes that may be X servers.
func commandLines(proc string) (all []commandLine) {
	paths, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline")) // the pattern is good
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
		if mayBeX(args) {
			all = append(all, commandLine{path, args})
		}
	}
	return all
}

// serverAuthority returns the authority file of the X server of a number, if its command line is in running.
func serverAuthority(running []commandLine, number int) string {
	if number < 0 {
		return ""
	}
	for _, process := range running {
		file := authorityOf(process.args, number)
		if file == "" || strings.HasPrefix(filepath.Base(filepath.Dir(file)), virtualPrefix) {
			continue // the virtual display of another daemon belongs to that daemon
		}
		if !filepath.IsAbs(file) {
			cwd, err := os.Readlink(filepath.Join(filepath.Dir(process.path), "cwd"))
			if err != nil {
				continue
			}
			file = filepath.Join(cwd, file)
		}
		return file
	}
	return ""
}

// mayBeX reports whether the name of a program fits an X server.
func mayBeX(args []string) bool { return strings.HasPrefix(filepath.Base(args[0]), "X") }

// authorityOf returns the authority file in the arguments of the X server of a number. It is empty for other programs.
func authorityOf(args []string, number int) string {
	if !mayBeX(args) || !slices.Contains(args, ":"+strconv.Itoa(number)) {
		return ""
	}
	if i := slices.Index(args, "-auth"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}
