//go:build linux

// Package guesttest runs tests in a virtual machine, on a Linux kernel with drivers that this machine lacks: graphics
// cards and input devices. QEMU emulates the processor, so no virtualization is required. The test program is the first
// process of the guest, and there is no other program in it.
//
// A test that needs a guest looks like this, in a package whose TestMain calls Main:
//
//	func TestCard(t *testing.T) {
//		if !guesttest.Inside() {
//			guesttest.Run(t, guesttest.Machine{Devices: []string{"bochs-display"}})
//			return
//		}
//		// what is to be tested
//	}
package guesttest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Machine describes a virtual machine.
type Machine struct {
	// Devices are QEMU's devices, as for its option -device.
	Devices []string
}

const (
	// bootTime is the limit for a guest with its tests. It boots in 5 s, and in 50 s on a busy machine.
	bootTime = 8 * time.Minute
	// testTime is the limit for its tests.
	testTime = 7 * time.Minute
	// memory is that of a guest, in MiB.
	memory = "1024"
)

// done is how a guest ends its output.
var done = regexp.MustCompile(`(?m)^guest: exit status (\d+)\r?$`)

// Run runs the calling test in a guest. The test fails if it fails there.
func Run(t *testing.T, m Machine) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skipf("the virtual machine is for amd64, and this is %s", runtime.GOARCH)
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal("requires QEMU and a kernel: run scripts/setup test")
	}
	kernel, files := filesOf(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "root.cpio")
	if err := os.WriteFile(root, archive(files), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	args := []string{
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", memory,
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", root,
		// What follows the two dashes are arguments of the first process.
		"-append", "console=ttyS0 quiet panic=-1 -- -test.v -test.timeout=" + testTime.String() +
			" -test.run=^" + t.Name() + "$",
	}
	for _, d := range m.Devices {
		args = append(args, "-device", d)
	}
	cmd := exec.CommandContext(ctx, qemu, args...)
	out, err := cmd.CombinedOutput()
	text := strings.ReplaceAll(string(out), "\r", "")
	status := done.FindStringSubmatch(text)
	switch {
	case err != nil:
		t.Fatalf("qemu: %v\n%s", err, text)
	case status == nil:
		t.Fatalf("the guest has ended without a result:\n%s", text)
	case status[1] != "0":
		t.Fatalf("it fails in the guest:\n%s", text)
	case !strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Fatalf("the guest has not run the test:\n%s", text)
	}
	t.Log(text)
}

// filesOf returns the path of the kernel, and the content of the guest's root: the test program and the kernel's
// modules.
func filesOf(t *testing.T) (kernel string, files map[string][]byte) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if own := os.Getenv("WAVRY_CACHE"); own != "" {
		cache = own
	} else {
		cache = filepath.Join(cache, "wavry-host")
	}
	kernel = filepath.Join(cache, "kernel", "vmlinuz")
	modules, err := filepath.Glob(filepath.Join(cache, "kernel", "modules", "*.ko"))
	if err != nil || len(modules) == 0 {
		t.Fatalf("there is no kernel in %s: run scripts/setup test", filepath.Dir(kernel))
	}
	files = make(map[string][]byte)
	for _, path := range modules {
		if files["modules/"+filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "init")
	// The guest has no libraries, so the program has none.
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "integration", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program of the guest: %v\n%s", err, out)
	}
	if files["init"], err = os.ReadFile(program); err != nil {
		t.Fatal(err)
	}
	return kernel, files
}

// archive returns a cpio archive of the form newc, as the kernel takes it for its first root.
func archive(files map[string][]byte) []byte {
	var b bytes.Buffer
	inode := 0
	add := func(name string, mode fs.FileMode, kind uint32, content []byte) {
		inode++
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, kind|uint32(mode), 0, 0, 1, 0,
			len(content), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name)
		b.WriteByte(0)
		pad(&b)
		b.Write(content)
		pad(&b)
	}
	const folder, file = 0o040000, 0o100000 // S_IFDIR and S_IFREG
	for _, dir := range []string{"dev", "modules", "proc", "run", "sys", "tmp"} {
		add(dir, 0o755, folder, nil)
	}
	for name, content := range files {
		add(name, 0o755, file, content)
	}
	add("TRAILER!!!", 0, 0, nil)
	return b.Bytes()
}

// pad fills up to a multiple of four bytes.
func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
