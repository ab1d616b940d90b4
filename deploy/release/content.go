package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// oldestGlibc is the glibc that programs are linked with. They start with it and all later ones.
const oldestGlibc = "2.31"

// libraries lists the shared libraries that a program may require: parts of glibc.
var libraries = []string{
	"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "libresolv.so.2", "librt.so.1",
	"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}

// architectures returns the architectures of the packages in a folder.
func architectures(dir string) ([]string, error) {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return nil, err
	}
	if len(debs) == 0 {
		return nil, fmt.Errorf("%s has no packages", dir)
	}
	var list []string
	for _, deb := range debs {
		name := strings.TrimSuffix(filepath.Base(deb), ".deb")
		list = append(list, name[strings.LastIndexByte(name, '_')+1:])
	}
	return list, nil
}

// checkEncoders tries the encoders of the program for this machine. All that run on the processor must work: a codec
// that was built wrongly crashes in its trial, and viewers get another one without a word.
func checkEncoders(ctx context.Context, c *checkCmd) (string, error) {
	archs, err := architectures(c.Dir)
	if err != nil {
		return "", err
	}
	if !slices.Contains(archs, runtime.GOARCH) {
		return "no program for this machine to try", nil
	}
	text, err := output(ctx, filepath.Join("dist", "build", runtime.GOARCH, "wavry-host"), "encoders", "--json")
	if err != nil {
		return "", err
	}
	return workingEncoders([]byte(text))
}

// softwareEncoders is the number of encoders on the processor that a release has: H.264, AV1, VP9 and VP8.
const softwareEncoders = 4

// workingEncoders judges the output of "wavry-host encoders --json".
func workingEncoders(report []byte) (string, error) {
	var encoders []struct {
		Name, Why        string
		Hardware, Usable bool
	}
	if err := json.Unmarshal(report, &encoders); err != nil {
		return "", fmt.Errorf("the report of the encoders is not understood: %w", err)
	}
	var work, faults []string
	for _, e := range encoders {
		switch {
		case e.Hardware:
		case e.Usable:
			work = append(work, e.Name)
		default:
			faults = append(faults, e.Name+" does not work: "+e.Why)
		}
	}
	if len(faults) == 0 && len(work) < softwareEncoders {
		faults = append(faults, fmt.Sprintf("only %s of %d encoders on the processor are there", strings.Join(work, ", "),
			softwareEncoders))
	}
	if len(faults) > 0 {
		return "", errors.New(strings.Join(faults, "; "))
	}
	return strings.Join(work, ", ") + " work", nil
}

func checkPrograms(_ context.Context, c *checkCmd) (string, error) {
	list, err := architectures(c.Dir)
	if err != nil {
		return "", err
	}
	for _, arch := range list {
		if err := checkProgram(filepath.Join("dist", "build", arch, "wavry-host")); err != nil {
			return "", err
		}
	}
	return strings.Join(list, " and ") + " start with glibc " + oldestGlibc, nil
}

// checkSource checks that the program states where its source code is.
func checkSource(ctx context.Context, _ *checkCmd) (string, error) {
	text, err := output(ctx, filepath.Join("dist", "build", runtime.GOARCH, "wavry-host"), "version", "--json")
	if err != nil {
		return "", err
	}
	var build struct{ Source string }
	if err := json.Unmarshal([]byte(text), &build); err != nil {
		return "", err
	}
	if !strings.HasPrefix(build.Source, "https://") {
		return "", fmt.Errorf("the program names %q as the address of its source code; set WAVRY_SOURCE when you build it",
			build.Source)
	}
	return build.Source, nil
}

// checkProgram checks that a program starts everywhere, and is hardened.
func checkProgram(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	var faults []string
	if f.Type != elf.ET_DYN {
		faults = append(faults, "it is not position-independent")
	}
	relro := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_GNU_RELRO })
	flags, err := f.DynValue(elf.DT_FLAGS)
	if err != nil {
		return err
	}
	if !relro || len(flags) == 0 || flags[0]&uint64(elf.DF_BIND_NOW) == 0 {
		faults = append(faults, "its relocations stay writable")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_GNU_STACK && p.Flags&elf.PF_X != 0 {
			faults = append(faults, "its stack is executable")
		}
	}
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return err
	}
	for _, name := range needed {
		if !slices.Contains(libraries, name) {
			faults = append(faults, "it requires "+name)
		}
	}
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if v, ok := strings.CutPrefix(s.Version, "GLIBC_"); ok && newer(v, oldestGlibc) {
			faults = append(faults, fmt.Sprintf("%s requires glibc %s", s.Name, v))
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s: %s", path, strings.Join(faults, "; "))
	}
	return nil
}

// newer reports whether version a is newer than b. Both are numbers with dots.
func newer(a, b string) bool {
	number := func(text string) []int {
		var n []int
		for part := range strings.SplitSeq(text, ".") {
			v, err := strconv.Atoi(part)
			if err != nil {
				return nil // "PRIVATE" and the like are in every version
			}
			n = append(n, v)
		}
		return n
	}
	return slices.Compare(number(a), number(b)) > 0
}

// checkFiles compares the files of the packages with deploy/release/files.txt.
func checkFiles(ctx context.Context, c *checkCmd) (string, error) {
	text, err := os.ReadFile("deploy/release/files.txt")
	if err != nil {
		return "", err
	}
	owned := patterns(string(text))
	packages, err := filepath.Glob(filepath.Join(c.Dir, "*.deb"))
	if err != nil {
		return "", err
	}
	rpms, err := filepath.Glob(filepath.Join(c.Dir, "*.rpm"))
	if err != nil {
		return "", err
	}
	n := 0
	for _, path := range append(packages, rpms...) {
		files, err := filesOf(ctx, path)
		if err != nil {
			return "", err
		}
		if err := compareFiles(owned, files); err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		n += len(files)
	}
	if n == 0 {
		return "", fmt.Errorf("%s has no packages", c.Dir)
	}
	return fmt.Sprintf("%d files, all of them listed", n), nil
}

func patterns(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// compareFiles compares the files of a package with patterns. Each file has one, and each pattern has a file.
func compareFiles(owned, files []string) error {
	var unowned, absent []string
	used := make(map[string]bool)
	for _, file := range files {
		i := slices.IndexFunc(owned, func(p string) bool {
			ok, err := filepath.Match(p, file)
			return err == nil && ok || strings.HasSuffix(p, "/**") && strings.HasPrefix(file,
				strings.TrimSuffix(p, "**"))
		})
		if i < 0 {
			unowned = append(unowned, file)
		} else {
			used[owned[i]] = true
		}
	}
	for _, p := range owned {
		if !used[p] {
			absent = append(absent, p)
		}
	}
	if len(unowned) > 0 {
		return fmt.Errorf("%s is not listed in deploy/release/files.txt", strings.Join(unowned, ", "))
	}
	if len(absent) > 0 {
		return fmt.Errorf("%s is listed in deploy/release/files.txt and is not in the package",
			strings.Join(absent, ", "))
	}
	return nil
}

// filesOf returns the paths of a package's files.
func filesOf(ctx context.Context, path string) ([]string, error) {
	var files []string
	if strings.HasSuffix(path, ".rpm") {
		list, err := output(ctx, "rpm", "-qp", "--nosignature", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\\n]", path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(list) {
			if mode, name, _ := strings.Cut(strings.TrimSpace(line), " "); !strings.HasPrefix(mode, "d") {
				files = append(files, name)
			}
		}
		return files, nil
	}
	list, err := output(ctx, "dpkg-deb", "--contents", path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if len(words) >= 6 && !strings.HasPrefix(words[0], "d") {
			files = append(files, strings.TrimPrefix(words[5], "."))
		}
	}
	return files, nil
}

func checkLintian(ctx context.Context, c *checkCmd) (string, error) {
	if _, err := exec.LookPath("lintian"); err != nil {
		return "", errors.New("lintian is not installed: apt-get install lintian")
	}
	debs, err := filepath.Glob(filepath.Join(c.Dir, "*.deb"))
	if err != nil || len(debs) == 0 {
		return "", fmt.Errorf("%s has no packages", c.Dir)
	}
	out, err := exec.CommandContext(ctx, "lintian", append([]string{ //nolint:gosec // the files are ours
		"--allow-root", "--fail-on=error,warning", "--suppress-tags=initial-upload-closes-no-bugs",
	}, debs...)...).Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return "", fmt.Errorf("lintian: %d findings, the first is %q: %w", len(lines), lines[0], err)
	}
	return fmt.Sprintf("%d packages without error or warning", len(debs)), nil
}

// suites are the releases of Debian on which the packages are installed.
var suites = []string{"bullseye", "bookworm", "trixie"}

// checkPackages upgrades from the former release, goes back and purges, in clean roots with systemd.
func checkPackages(ctx context.Context, c *checkCmd) (string, error) {
	if c.Former == "" {
		return "", errors.New("no package of the former release was named: --former FILE")
	}
	debs, err := filepath.Glob(filepath.Join(c.Dir, "*_"+runtime.GOARCH+".deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("%s has %d packages for %s; want 1", c.Dir, len(debs), runtime.GOARCH)
	}
	for _, suite := range suites {
		if _, err := output(ctx, "scripts/packages", suite, c.Former, debs[0]); err != nil {
			return "", fmt.Errorf("%s: %w", suite, err)
		}
	}
	return "install, upgrade, downgrade and purge on " + strings.Join(suites, ", "), nil
}

// allowedLicenses lists the licenses of components of a program that is conveyed under the AGPL, version 3.
var allowedLicenses = []string{
	"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "MPL-2.0", "GPL-2.0-or-later", "LGPL-2.1-or-later",
	"GPL-3.0-or-later WITH GCC-exception-3.1", "GPL-2.0-only WITH Linux-syscall-note",
}

func checkLicenses(_ context.Context, c *checkCmd) (string, error) {
	table, err := readLicenses(c.Licenses)
	if err != nil {
		return "", err
	}
	inputs, err := readLock(c.Lock)
	if err != nil {
		return "", err
	}
	n := 0
	for _, row := range table {
		if !slices.Contains(allowedLicenses, row[2]) {
			return "", fmt.Errorf("%s has the license %q, which is not in the list", row[0], row[2])
		}
		n++
	}
	for _, i := range inputs {
		name, conveyed := licenseOf(i)
		if !conveyed {
			continue
		}
		if !slices.Contains(allowedLicenses, name) {
			return "", fmt.Errorf("%s has the license %q, which is not in the list", i.Package, name)
		}
		n++
	}
	return fmt.Sprintf("%d components with licenses of the list", n), nil
}

func checkKeys(_ context.Context, c *checkCmd) (string, error) {
	if c.Key == "" {
		return "", errors.New("no signing key was named: --key FILE")
	}
	k, _, _, err := trust(c.Roots, c.Key)
	if err != nil {
		return "", err
	}
	return "the signing key is valid until " + k.Until.Format("2006-01-02"), nil
}

// checkRebuild compares the programs with the results of scripts/release rebuild.
func checkRebuild(_ context.Context, c *checkCmd) (string, error) {
	if c.Rebuilt == "" {
		return "", errors.New("nothing was rebuilt: run scripts/release rebuild ARCH, and name its folder by --rebuilt")
	}
	list, err := architectures(c.Dir)
	if err != nil {
		return "", err
	}
	for _, arch := range list {
		first, err := digest(filepath.Join("dist", "build", arch, "wavry-host"))
		if err != nil {
			return "", err
		}
		second, err := digest(filepath.Join(c.Rebuilt, arch, "wavry-host"))
		if err != nil {
			return "", err
		}
		if first != second {
			return "", fmt.Errorf("the program for %s differs: %s and %s", arch, first.SHA256, second.SHA256)
		}
	}
	return strings.Join(list, " and ") + ": identical bytes from the source archive", nil
}
