package pressure

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// hertz is the kernel's USER_HZ, which is 100 on every architecture that Go runs on.
const hertz = 100

// root is where /proc and /sys are.
type root string

func (r root) read(path ...string) ([]byte, error) {
	return os.ReadFile(filepath.Join(append([]string{string(r)}, path...)...))
}

func look(time.Time) (sample, error) { return root("/").look() }

func (r root) look() (sample, error) {
	s := sample{Reading: Reading{Cores: float64(runtime.NumCPU())}} // of the affinity
	stat, err := r.read("proc/stat")
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if s.busy, err = parseStat(stat, hertz); err != nil {
		return s, err
	}
	info, err := r.read("proc/meminfo")
	if err != nil {
		return s, fmt.Errorf("read memory: %w", err)
	}
	if s.MemoryFree, s.MemoryTotal, err = parseMeminfo(info); err != nil {
		return s, err
	}
	for file, to := range map[string]*float64{"cpu": &s.CPUStall, "memory": &s.MemoryStall, "io": &s.IOStall} {
		if text, err := r.read("proc/pressure", file); err == nil { // older kernels have none
			*to, _ = parsePressure(text)
		}
	}
	r.groups(&s)
	if pages, err := r.read("proc/self/statm"); err == nil {
		if f := strings.Fields(string(pages)); len(f) > 1 {
			n, _ := parseNumber([]byte(f[1]))
			s.Resident = n * int64(os.Getpagesize())
		}
	}
	if files, err := os.ReadDir(filepath.Join(string(r), "proc/self/fd")); err == nil {
		s.Descriptors = len(files)
	}
	return s, nil
}

// groups narrows s to the control groups that this process is in, up to the root: the narrowest counts.
func (r root) groups(s *sample) {
	text, err := r.read("proc/self/cgroup")
	if err != nil {
		return
	}
	if path, ok := parseGroup(text, ""); ok {
		for ; ; path = filepath.Dir(path) {
			r.unified(s, path)
			if path == "/" || path == "." {
				break
			}
		}
	}
	if path, ok := parseGroup(text, "cpu"); ok {
		quota, err1 := r.number("sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us")
		period, err2 := r.number("sys/fs/cgroup/cpu", path, "cpu.cfs_period_us")
		used, err3 := r.number("sys/fs/cgroup/cpuacct", path, "cpuacct.usage")
		if err1 == nil && err2 == nil && err3 == nil && quota > 0 && period > 0 {
			s.narrow(float64(quota)/float64(period), time.Duration(used))
		}
	}
	if path, ok := parseGroup(text, "memory"); ok {
		limit, err1 := r.number("sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
		used, err2 := r.number("sys/fs/cgroup/memory", path, "memory.usage_in_bytes")
		if err1 == nil && err2 == nil {
			s.hold(limit, used)
		}
	}
}

func (r root) number(path ...string) (int64, error) {
	text, err := r.read(path...)
	if err != nil {
		return 0, err
	}
	return parseNumber(text)
}

// unified narrows s to a group of the unified hierarchy. A group without a limit has no file for it, or says max.
func (r root) unified(s *sample, path string) {
	const base = "sys/fs/cgroup"
	if text, err := r.read(base, path, "cpu.max"); err == nil {
		quota, err := parseQuota(text)
		stat, err2 := r.read(base, path, "cpu.stat")
		if err == nil && err2 == nil && quota > 0 {
			if used, err := parseField(stat, "usage_usec"); err == nil {
				s.narrow(quota, time.Duration(used)*time.Microsecond)
			}
		}
	}
	limit, err1 := r.number(base, path, "memory.max")
	used, err2 := r.number(base, path, "memory.current")
	if err1 != nil || err2 != nil {
		return
	}
	if stat, err := r.read(base, path, "memory.stat"); err == nil {
		if cache, err := parseField(stat, "inactive_file"); err == nil {
			used -= cache // goes when it is needed
		}
	}
	s.hold(limit, used)
}

// narrow takes a group's quota, in cores, where it is less than what there is, and what the group has used with it.
func (s *sample) narrow(cores float64, used time.Duration) {
	if cores < s.Cores {
		s.Cores, s.busy = cores, used
	}
}

// hold takes a group's limit on memory where it leaves less than there is.
func (s *sample) hold(limit, used int64) {
	if limit <= 0 || limit >= s.MemoryTotal {
		return
	}
	s.MemoryTotal = limit
	s.MemoryFree = max(1, min(s.MemoryFree, limit-used))
}
