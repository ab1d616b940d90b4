package pressure

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// machine writes files of /proc and /sys.
func machine(t *testing.T, more map[string]string) root {
	t.Helper()
	files := map[string]string{
		"proc/stat": "cpu  200 0 0 500 0 0 0 0 0 0\ncpu0 70 0 0 400 0 0 0 0 0 0\ncpu1 30 0 0 50 0 0 0 0 0 0\n" +
			"cpu2 100 0 0 50 0 0 0 0 0 0\n",
		"proc/meminfo":         "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
		"proc/pressure/cpu":    "some avg10=25.00 avg60=0 avg300=0 total=0\n",
		"proc/pressure/memory": "some avg10=1.00 avg60=0 avg300=0 total=0\n",
		"proc/self/cgroup":     "0::/a/b\n",
		"proc/self/status":     "Name:\twavry-host\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n",
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
	if err != nil || s.MemoryFree != 4<<30 || s.MemoryTotal != 8<<30 || s.CPUStall != .25 || s.IOStall != 0 {
		t.Errorf("without limits: %+v, %v", s, err)
	}
	if want := []budget{{"machine", 2, time.Second}}; s.Cores != 2 || !slices.Equal(s.budgets, want) {
		t.Errorf("with two of three processors: %v of %v cores; want %v", s.budgets, s.Cores, want)
	}
	if s.Resident != 100*int64(os.Getpagesize()) {
		t.Errorf("resident %d", s.Resident)
	}
	for name, c := range map[string]struct {
		files       map[string]string
		cores       float64
		budgets     []budget // besides the machine's
		total, free int64
	}{
		"quota above, memory within": {map[string]string{
			"sys/fs/cgroup/a/b/cpu.max":        "max 100000",
			"sys/fs/cgroup/a/cpu.max":          "50000 100000",
			"sys/fs/cgroup/a/cpu.stat":         "usage_usec 7000000\n",
			"sys/fs/cgroup/a/b/memory.max":     "1073741824",
			"sys/fs/cgroup/a/b/memory.current": "805306368",
			"sys/fs/cgroup/a/b/memory.stat":    "anon 5\ninactive_file 268435456\n",
			"sys/fs/cgroup/a/memory.max":       "max",
			"sys/fs/cgroup/a/memory.current":   "900000000",
		}, .5, []budget{{"/a", .5, 7 * time.Second}}, 1 << 30, 512 << 20},
		"quotas of several cores, the outer one larger": {map[string]string{
			"sys/fs/cgroup/a/b/cpu.max":  "150000 100000",
			"sys/fs/cgroup/a/b/cpu.stat": "usage_usec 1000000\n",
			"sys/fs/cgroup/a/cpu.max":    "1000000 250000",
			"sys/fs/cgroup/a/cpu.stat":   "usage_usec 9000000\n",
		}, 1.5, []budget{{"/a/b", 1.5, time.Second}, {"/a", 4, 9 * time.Second}}, 8 << 30, 4 << 30},
		"a larger limit above that siblings fill": {map[string]string{
			"sys/fs/cgroup/a/b/memory.max":     "1073741824",
			"sys/fs/cgroup/a/b/memory.current": "0",
			"sys/fs/cgroup/a/memory.max":       "2147483648",
			"sys/fs/cgroup/a/memory.current":   "2044723200",
		}, 2, nil, 1 << 30, 98 << 20},
		"a container's own root": {map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/cpu.max":        "100000 100000",
			"sys/fs/cgroup/cpu.stat":       "usage_usec 5\n",
			"sys/fs/cgroup/memory.max":     "1073741824",
			"sys/fs/cgroup/memory.current": "1073741824",
		}, 1, []budget{{"/", 1, 5 * time.Microsecond}}, 1 << 30, 1},
		"old groups, nested": {map[string]string{
			"proc/self/cgroup":                               "3:memory:/c/d\n2:cpu,cpuacct:/c/d\n1:cpuset:/c\n",
			"sys/fs/cgroup/cpu/c/d/cpu.cfs_quota_us":         "-1",
			"sys/fs/cgroup/cpu/c/d/cpu.cfs_period_us":        "100000",
			"sys/fs/cgroup/cpuacct/c/d/cpuacct.usage":        "1000000000",
			"sys/fs/cgroup/cpu/c/cpu.cfs_quota_us":           "25000",
			"sys/fs/cgroup/cpu/c/cpu.cfs_period_us":          "100000",
			"sys/fs/cgroup/cpuacct/c/cpuacct.usage":          "3000000000",
			"sys/fs/cgroup/memory/c/d/memory.limit_in_bytes": "9223372036854771712",
			"sys/fs/cgroup/memory/c/d/memory.usage_in_bytes": "1073741824",
			"sys/fs/cgroup/memory/c/memory.limit_in_bytes":   "2147483648",
			"sys/fs/cgroup/memory/c/memory.usage_in_bytes":   "1610612736",
			"sys/fs/cgroup/memory/c/memory.stat":             "total_cache 7\ntotal_inactive_file 536870912\n",
		}, .25, []budget{{"/c", .25, 3 * time.Second}}, 2 << 30, 1 << 30},
		"old groups of a container, whose path is the machine's": {map[string]string{
			"proc/self/cgroup":                           "3:memory:/docker/f00\n2:cpu,cpuacct:/docker/f00\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":         "50000",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":        "100000",
			"sys/fs/cgroup/cpuacct/cpuacct.usage":        "1",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "536870912",
		}, .5, []budget{{"/", .5, 1}}, 1 << 30, 512 << 20},
		"old groups, controllers apart": {map[string]string{
			"proc/self/cgroup":                      "4:memory:/\n2:cpuacct:/\n1:cpu:/c/d\n",
			"sys/fs/cgroup/cpu/c/cpu.cfs_quota_us":  "150000",
			"sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpuacct/cpuacct.usage":   "7",
			"proc/self/stat":                        "7 (wavry-host) S 1 7 7 0 -1 4194304 9 9 0 0 120 30 5 6 20 0 9 0 99 1 2 3",
		}, 1.5, []budget{{"/c", 1.5, 1500 * time.Millisecond}}, 8 << 30, 4 << 30},
		"files that are not understood": {map[string]string{
			"sys/fs/cgroup/a/b/cpu.max":     "much",
			"sys/fs/cgroup/a/cpu.max":       "0 0",
			"sys/fs/cgroup/a/cpu.stat":      "usage_usec 5\n",
			"sys/fs/cgroup/a/memory.max":    "?",
			"proc/self/status":              "Cpus_allowed_list:\tall\n",
			"sys/fs/cgroup/a/b/memory.max":  "5",
			"sys/fs/cgroup/a/b/memory.stat": "inactive_file x\n",
		}, 3, nil, 8 << 30, 4 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := machine(t, c.files).look()
			if err != nil || s.Cores != c.cores || !slices.Equal(s.budgets[1:], c.budgets) || s.MemoryTotal != c.total ||
				s.MemoryFree != c.free {
				t.Errorf(
					"%v cores, %v, memory %d of %d, %v; want %v, %v, %d of %d", s.Cores, s.budgets[1:], s.MemoryFree, s.MemoryTotal,
					err, c.cores, c.budgets, c.free, c.total,
				)
			}
		})
	}
}

func TestThisMachine(t *testing.T) {
	s, err := look(time.Now())
	if err != nil || s.Cores <= 0 || s.MemoryFree <= 0 || s.MemoryFree > s.MemoryTotal || s.Resident <= 0 ||
		s.Descriptors <= 0 {
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
