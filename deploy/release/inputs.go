package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"
)

// input is a line of inputs.lock.
type input struct {
	Kind    string `json:"kind"`
	Target  string `json:"target"`
	Package string `json:"package"`
	Version string `json:"version"` // Debian's
	File    string `json:"file"`
	SHA256  string `json:"sha256"`
}

// readLock reads inputs.lock.
func readLock(path string) ([]input, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var inputs []input
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if len(words) != 6 || len(words[5]) != 64 {
			return nil, fmt.Errorf("%s: the line %q has not six columns, or no SHA-256", path, strings.TrimSpace(line))
		}
		inputs = append(inputs, input{words[0], words[1], words[2], words[3], words[4], words[5]})
	}
	return inputs, nil
}

// upstream returns the version without Debian's epoch and revision.
func (i input) upstream() string {
	v := i.Version
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if at := strings.LastIndexByte(v, '-'); at > 0 {
		v = v[:at]
	}
	return v
}

// codec is what is linked of an input, and its license.
type codec struct{ part, license string }

// codecs has what a program contains of the inputs. Other inputs leave nothing in it.
var codecs = map[string]codec{
	"ffmpeg":                       {"linked, configured with --enable-gpl", "GPL-2.0-or-later"},
	"x264":                         {"linked", "GPL-2.0-or-later"},
	"libvpx":                       {"linked", "BSD-3-Clause"},
	"aom":                          {"linked", "BSD-2-Clause"},
	"libyuv":                       {"linked", "BSD-3-Clause"},
	"libva":                        {"headers; the library is loaded at run time", "MIT"},
	"libdrm":                       {"headers; the library is loaded at run time", "MIT"},
	"nv-codec-headers":             {"headers", "MIT"},
	"libgcc-10-dev":                {"libgcc and libatomic, linked", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	"libgcc-10-dev-arm64-cross":    {"libgcc and libatomic, linked", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	"libc6-dev":                    {"start files, linked", "LGPL-2.1-or-later"},
	"libc6-dev-arm64-cross":        {"start files, linked", "LGPL-2.1-or-later"},
	"linux-libc-dev":               {"headers", "GPL-2.0-only WITH Linux-syscall-note"},
	"linux-libc-dev-arm64-cross":   {"headers", "GPL-2.0-only WITH Linux-syscall-note"},
	"libstdc++-10-dev":             {"headers", "GPL-3.0-or-later WITH GCC-exception-3.1"},
	"libstdc++-10-dev-arm64-cross": {"headers", "GPL-3.0-or-later WITH GCC-exception-3.1"},
}

// inImage has the licenses of Debian's packages in the image for containers, and of their sources.
var inImage = map[string]string{
	"base-files": "GPL-2.0-or-later", "libc6": "LGPL-2.1-or-later", "glibc": "LGPL-2.1-or-later",
	"dash": "BSD-3-Clause", "ca-certificates": "MPL-2.0",
}

// licenseOf returns the license of an input, or reports that nothing of it is conveyed.
func licenseOf(i input) (name string, conveyed bool) {
	if strings.HasPrefix(i.Kind, "image") {
		return inImage[i.Package], true
	}
	used, ok := codecs[i.Package]
	return used.license, ok || i.Kind != "tool"
}

// licenses is the table of go-licenses: packages or modules and their license.
type licenses [][]string

func readLicenses(path string) (licenses, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}

// of returns the licenses of a module's packages.
func (l licenses) of(module string) []string {
	var found []string
	for _, row := range l {
		if len(row) == 3 && (row[0] == module || strings.HasPrefix(row[0], module+"/")) {
			found = append(found, row[2])
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
