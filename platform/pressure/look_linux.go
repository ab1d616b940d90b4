package pressure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// root is where /proc and /sys are.
type root string

// read returns the content of a file. Unlike os.ReadFile it does not offer the file to the poller, which accepts none
// of these: half of the system calls of a measurement.
func (r root) read(path ...string) ([]byte, error) {
	name := filepath.Join(append([]string{string(r)}, path...)...)
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // it was only read
	text := make([]byte, 0, 4096)
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Read(fd, text[len(text):cap(text)])
			return err
		})
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			return text, nil
		}
		if text = text[:len(text)+n]; len(text) == cap(text) {
			text = slices.Grow(text, len(text))
		}
	}
}

// retry calls f until no signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func look(time.Time) (sample, error) { return root("/").look() }

func (r root) look() (sample, error) {
	var s sample
	stat, err := r.read("proc/stat")
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	processors, busy, err := parseStat(stat, r.affinity())
	if err != nil {
		return s, err
	}
	s.Cores = float64(processors)
	s.budgets = append(s.budgets, budget{"machine", s.Cores, busy})
	info, err := r.read("proc/meminfo")
	if err != nil {
		return s, fmt.Errorf("read memory: %w", err)
	}
	if s.MemoryFree, s.MemoryTotal, err = parseMeminfo(info); err != nil {
		return s, err
	}
	for file, to := range map[string]*float64{"cpu": &s.CPUStall, "memory": &s.MemoryStall, "io": &s.IOStall} {
		if text, err := r.read("proc/pressure", file); err == nil { // older kernels have no such file
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

// affinity returns the processors that this process may use, by cpuset and affinity; nil for all.
func (r root) affinity() map[int]bool {
	status, err := r.read("proc/self/status")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			set, _ := parseSet(text) // nil where it is not understood
			return set
		}
	}
	return nil
}

// groups narrows s to the control groups of this process, up to the root: each of them must have room. In a container
// the root of the tree is the container's own group. Then only the end of the path exists.
func (r root) groups(s *sample) {
	text, err := r.read("proc/self/cgroup")
	if err != nil {
		return
	}
	if path, ok := parseGroup(text, ""); ok {
		upwards(path, func(path string) { r.unified(s, path) })
	}
	if path, ok := parseGroup(text, "cpu"); ok {
		upwards(path, func(path string) {
			quota, err1 := r.number("sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us")
			period, err2 := r.number("sys/fs/cgroup/cpu", path, "cpu.cfs_period_us")
			if err1 != nil || err2 != nil || quota <= 0 || period <= 0 { // without a limit quota is -1
				return
			}
			used, err := r.number("sys/fs/cgroup/cpuacct", path, "cpuacct.usage")
			if err != nil { // the two controllers have separate trees: this process's own use is what is known
				used = int64(r.own())
			}
			s.narrow(path, float64(quota)/float64(period), time.Duration(used))
		})
	}
	if path, ok := parseGroup(text, "memory"); ok {
		upwards(path, func(path string) {
			const base = "sys/fs/cgroup/memory"
			limit, err := r.number(base, path, "memory.limit_in_bytes")
			if err != nil || !limits(limit) {
				return
			}
			if used, err := r.number(base, path, "memory.usage_in_bytes"); err == nil {
				s.hold(limit, used-r.cache(base, path, "total_inactive_file"))
			}
		})
	}
}

// own returns the processor time of this process, or 0 when it is unknown.
func (r root) own() time.Duration {
	text, err := r.read("proc/self/stat")
	if err != nil {
		return 0
	}
	used, err := parseOwn(text)
	if err != nil {
		return 0
	}
	return used
}

// upwards calls look with the path of a group and of all groups above it, including the root.
func upwards(path string, look func(string)) {
	for {
		look(path)
		if path == "/" || path == "." || path == ".." {
			return
		}
		path = filepath.Dir(path)
	}
}

// cache returns the file memory of a group that is freed when memory is needed.
func (r root) cache(base, path, field string) int64 {
	stat, err := r.read(base, path, "memory.stat")
	if err != nil {
		return 0
	}
	n, err := parseField(stat, field)
	if err != nil {
		return 0
	}
	return n
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
				s.narrow(path, quota, time.Duration(used)*time.Microsecond)
			}
		}
	}
	limit, err := r.number(base, path, "memory.max")
	if err != nil || !limits(limit) {
		return
	}
	if used, err := r.number(base, path, "memory.current"); err == nil {
		s.hold(limit, used-r.cache(base, path, "inactive_file"))
	}
}

// narrow applies a group's quota, in cores, and the processor time that the group used.
func (s *sample) narrow(group string, cores float64, used time.Duration) {
	s.Cores = min(s.Cores, cores)
	s.budgets = append(s.budgets, budget{group, cores, used})
}

// hold applies a group's memory limit, and the memory that the group uses.
func (s *sample) hold(limit, used int64) {
	s.MemoryTotal = min(s.MemoryTotal, limit)
	s.MemoryFree = max(1, min(s.MemoryFree, limit-used))
}

// limits reports whether a memory limit is one. Without a limit there is nothing else to read of a group.
func limits(memory int64) bool { return memory > 0 && memory != unlimited }
