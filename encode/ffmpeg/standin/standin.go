//go:build integration

package standin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata
var sources embed.FS

// nvidia is the folder of NVIDIA's libraries. A program that has them uses them before VAAPI.
const nvidia = "nvidia"

// The encoders inside the devices.
var (
	codecs     = []string{"h264.c", "hevc.c", "av1.c", "control.c", "picture.c"}
	codecFlags = []string{"-lx264", "-lx265", "-laom", "-lm"}
)

// libraries are the built libraries and what each consists of.
var libraries = []struct {
	name  string
	files []string
	flags []string
}{
	{
		"standin_drv_video.so",
		slices.Concat(codecs, []string{"driver.c", "encode.c", "sps.c", "process.c", "fault.c"}),
		slices.Concat(codecFlags, []string{"-lyuv", "-lpthread"}),
	},
	// libva itself is real. Only its library for render nodes must be another, because it refuses files.
	{"libva-drm.so.2", []string{"display.c"}, []string{"-Wl,-soname,libva-drm.so.2", "-lva"}},
	{nvidia + "/libcuda.so.1", []string{"cuda.c", "fault.c"}, []string{"-Wl,-soname,libcuda.so.1", "-lpthread"}},
	{
		nvidia + "/libnvidia-encode.so.1",
		slices.Concat(codecs, []string{"nvenc.c", "fault.c"}),
		slices.Concat(codecFlags, []string{"-Wl,-soname,libnvidia-encode.so.1", "-lpthread"}),
	},
}

// Env builds the libraries, unless that was done before, and returns the environment of a program that uses them.
func Env(t testing.TB) []string {
	t.Helper()
	dir, err := build(t.Context())
	if err != nil {
		t.Fatalf("build the stand-ins for hardware: %v (run 'make setup')", err)
	}
	return []string{
		libraryPath + dir,
		"LIBVA_DRIVERS_PATH=" + dir,
		"LIBVA_DRIVER_NAME=standin",
		"LIBVA_MESSAGING_LEVEL=1",
	}
}

// Nvidia is like Env, for a program that uses NVIDIA cards. It has the given ones.
func Nvidia(t testing.TB, cards ...Device) []string {
	t.Helper()
	env := Env(t)
	dir := strings.TrimPrefix(env[0], libraryPath)
	env[0] = libraryPath + filepath.Join(dir, nvidia) + string(filepath.ListSeparator) + dir
	return append(env, visible+"="+list(cards))
}

const (
	libraryPath = "LD_LIBRARY_PATH="
	// visible is NVIDIA's variable that chooses cards.
	visible = "CUDA_VISIBLE_DEVICES"
)

func list(cards []Device) string {
	paths := make([]string, 0, len(cards))
	for _, c := range cards {
		paths = append(paths, c.Path)
	}
	return strings.Join(paths, ",")
}

// Insert makes the cards the NVIDIA cards of this process. It must be Inside.
func Insert(t *testing.T, cards ...Device) {
	t.Helper()
	t.Setenv(visible, list(cards))
}

// build returns the folder of the libraries. Its name contains the hash of their sources.
func build(ctx context.Context) (dir string, err error) {
	hash := sha256.New()
	err = fs.WalkDir(sources, "testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := sources.ReadFile(path)
		hash.Write(data)
		return err
	})
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "wavry-host")
	dir = filepath.Join(cache, "standin-"+hex.EncodeToString(hash.Sum(nil))[:12])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // others may see what is built
		return "", err
	}
	aside, err := os.MkdirTemp(cache, "standin-build-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	if err := os.CopyFS(aside, sources); err != nil {
		return "", err
	}
	headers, err := exec.CommandContext(ctx, "pkg-config", "--cflags", "ffnvcodec").Output()
	if err != nil {
		return "", fmt.Errorf("find NVIDIA's headers: pkg-config ffnvcodec: %w", err)
	}
	for _, l := range libraries {
		path := filepath.Join(aside, l.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as above
			return "", err
		}
		args := []string{"-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path}
		args = append(args, strings.Fields(string(headers))...)
		for _, file := range l.files {
			args = append(args, filepath.Join(aside, "testdata", file))
		}
		out, err := exec.CommandContext(ctx, "cc", append(args, l.flags...)...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w\n%s", l.name, err, out)
		}
	}
	if err := os.Rename(aside, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another process was faster
		return "", err
	}
	return dir, nil
}

// inside marks a process that has the libraries.
const inside = "WAVRY_STANDIN"

// Inside reports whether this process has the libraries. Otherwise, it runs the calling test in a child process with
// them, and the caller must return: libraries are chosen when a process starts.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	env := Nvidia(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v=" + fmt.Sprint(testing.Verbose()), "-test.paniconexit0"}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = slices.Concat(os.Environ(), env, []string{inside + "=1"})
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("no tests to run")):
		t.Errorf("the test did not run again:\n%s", out)
	case testing.Verbose():
		t.Logf("%s", out)
	}
	return false
}

// Each runs a test for each of the names, Inside.
func Each(t *testing.T, names []string, test func(t *testing.T, name string)) {
	t.Helper()
	if !Inside(t) {
		return
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// Device is a graphics device. Its Path takes the place of a render node's.
type Device struct{ Path string }

// New makes a device, with limits and faults as testdata/device.h lists them.
func New(t testing.TB, settings ...string) Device {
	t.Helper()
	d := Device{Path: filepath.Join(t.TempDir(), "renderD128")}
	d.Set(t, settings...)
	return d
}

// Set replaces the limits and faults, from the next operation on.
func (d Device) Set(t testing.TB, settings ...string) {
	t.Helper()
	// One write: the driver must not see the file while it is empty.
	f, err := os.OpenFile(d.Path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%-1000s\n", strings.Join(settings, " ")), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Counts are what a device counted in the process that used it last.
type Counts struct {
	Contexts int // open
	Surfaces int // open, with NVENC input buffers
	Others   int // open buffers, images and configurations, with NVENC output buffers
	Maps     int // of pictures into main memory, for uploads and downloads
	Imports  int // of surfaces of other programs
	Pictures int // encoded
	Rates    int // changes of the rate of an open encoder, with NVENC
}

// Counts returns what the device counted since it was opened.
func (d Device) Counts(t testing.TB) Counts {
	t.Helper()
	data, err := os.ReadFile(d.Path + ".counts")
	if err != nil {
		t.Fatal(err)
	}
	var c Counts
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return c
}
