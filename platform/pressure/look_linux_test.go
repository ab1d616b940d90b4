package pressure

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// machine writes files of /proc and /sys.
func machine(t *testing.T, more map[string]string) root {
	t.Helper()
	files := map[string]string{
		"proc/stat":            "cpu  100 0 0 500 0 0 0 0 0 0\n",
		"proc/meminfo":         "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
		"proc/pressure/cpu":    "some avg10=25.00 avg60=0 avg300=0 total=0\n",
		"proc/pressure/memory": "some avg10=1.00 avg60=0 avg300=0 total=0\n",
		"proc/self/cgroup":     "0::/a/b\n",
		"proc/self/statm":      "900 100 1 1 0 1 0\n",
	}
	maps.Copy(files, more)
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root(dir)
}

func TestControlGroupsNarrow(t *testing.T) {
	s, err := machine(t, nil).look()
	if err != nil || s.busy != time.Second || s.MemoryFree != 4<<30 || s.MemoryTotal != 8<<30 || s.CPUStall != .25 || s.IOStall != 0 {
		t.Errorf("without limits: %+v, %v", s, err)
	}
	if s.Resident != 100*int64(os.Getpagesize()) {
		t.Errorf("resident %d", s.Resident)
	}
	// The group above has the narrower quota, the inner one the narrower memory.
	s, err = machine(t, map[string]string{
		"sys/fs/cgroup/a/b/cpu.max":        "max 100000",
		"sys/fs/cgroup/a/cpu.max":          "50000 100000",
		"sys/fs/cgroup/a/cpu.stat":         "usage_usec 7000000\n",
		"sys/fs/cgroup/a/b/memory.max":     "1073741824",
		"sys/fs/cgroup/a/b/memory.current": "805306368",
		"sys/fs/cgroup/a/b/memory.stat":    "anon 5\ninactive_file 268435456\n",
		"sys/fs/cgroup/a/memory.max":       "max",
		"sys/fs/cgroup/a/memory.current":   "900000000",
	}).look()
	if err != nil || s.Cores != .5 || s.busy != 7*time.Second || s.MemoryTotal != 1<<30 || s.MemoryFree != 512<<20 {
		t.Errorf("unified: %+v, %v", s, err)
	}
	s, err = machine(t, map[string]string{
		"proc/self/cgroup":                                    "3:memory:/c\n2:cpu,cpuacct:/c\n",
		"sys/fs/cgroup/cpu/c/cpu.cfs_quota_us":                "25000",
		"sys/fs/cgroup/cpu/c/cpu.cfs_period_us":               "100000",
		"sys/fs/cgroup/cpuacct/c/cpuacct.usage":               "3000000000",
		"sys/fs/cgroup/memory/c/memory.limit_in_bytes":        "2147483648",
		"sys/fs/cgroup/memory/c/memory.usage_in_bytes":        "1073741824",
		"sys/fs/cgroup/memory/c/memory.usage_in_bytes.unused": "",
	}).look()
	if err != nil || s.Cores != .25 || s.busy != 3*time.Second || s.MemoryTotal != 2<<30 || s.MemoryFree != 1<<30 {
		t.Errorf("old: %+v, %v", s, err)
	}
}

func TestThisMachine(t *testing.T) {
	s, err := look(time.Now())
	if err != nil || s.Cores <= 0 || s.MemoryFree <= 0 || s.MemoryFree > s.MemoryTotal || s.Resident <= 0 || s.Descriptors <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func BenchmarkLook(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := look(time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
