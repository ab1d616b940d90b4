package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Machine is the machine that is checked.
type Machine struct {
	// Root is the folder that has proc, sys and dev; "/" for the running system.
	Root string
	// PID is the process of the daemon, or 0 for this process.
	PID int
	// CPUs is the number of processors that this process may use.
	CPUs int
	// Space returns the room at a path.
	Space func(path string) (Space, error)
	// Clock reports whether the clock is synchronized, and the estimated error.
	Clock func() (synchronized bool, off time.Duration, err error)
	// Addresses returns the addresses of the interfaces that are up.
	Addresses func() ([]net.Addr, error)
	// LookUp returns the addresses of a name.
	LookUp func(ctx context.Context, name string) ([]string, error)
	// Dial connects to an address by TCP.
	Dial func(ctx context.Context, address string) error
}

// Space is the room of a file system.
type Space struct {
	Free, Total           uint64 // bytes
	FreeInodes, AllInodes uint64 // 0 of 0 where the file system has no limit
}

// This returns the machine that this process runs on. pid is the daemon's process, or 0.
func This(pid, cpus int) Machine {
	return Machine{
		Root: "/", PID: pid, CPUs: cpus, Space: space, Clock: clock, Addresses: addresses,
		LookUp: net.DefaultResolver.LookupHost,
		Dial: func(ctx context.Context, address string) error {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", address)
			if err == nil {
				err = c.Close()
			}
			return err
		},
	}
}

// addresses returns the addresses of the interfaces that are up.
func addresses() ([]net.Addr, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []net.Addr
	for _, one := range list {
		if one.Flags&net.FlagUp == 0 {
			continue
		}
		if more, err := one.Addrs(); err == nil {
			all = append(all, more...)
		}
	}
	return all, nil
}

// path returns the path of a file of the system.
func (m Machine) path(name string) string { return filepath.Join(m.Root, name) }

// read returns the text of a file of the system, without spaces around it. It is empty if the file cannot be read.
func (m Machine) read(name string) string {
	text, err := os.ReadFile(m.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// number returns the number in a file of the system; ok is false for anything else.
func (m Machine) number(name string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(m.read(name), 10, 64)
	return n, err == nil
}

// field returns the number after a name in a text of lines such as "oom_kill 3" or "MemAvailable: 3 kB".
func field(text, name string) (n uint64, ok bool) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 2 && strings.TrimSuffix(words[0], ":") == name {
			n, err := strconv.ParseUint(words[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// process returns the path of a file of the daemon's process.
func (m Machine) process(name string) string {
	pid := "self"
	if m.PID != 0 {
		pid = strconv.Itoa(m.PID)
	}
	return filepath.Join("proc", pid, name)
}

// Environment returns the environment of the daemon, or nil if it is unknown.
func (m Machine) Environment() []string {
	if m.PID == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(m.read(m.process("environ")), "\x00"), "\x00")
}

// whose names the process that is checked.
func (m Machine) whose() string {
	if m.PID != 0 {
		return "the daemon (process " + strconv.Itoa(m.PID) + ")"
	}
	return "this shell (no daemon was found)"
}

// group returns the path of a file of the daemon's control group (version 2).
func (m Machine) group(name string) string {
	for line := range strings.Lines(m.read(m.process("cgroup"))) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return filepath.Join("sys/fs/cgroup", path, name)
		}
	}
	return filepath.Join("sys/fs/cgroup", name)
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// Checks returns the checks of the machine itself.
func (m Machine) Checks() []Check {
	return []Check{
		m.linux("machine.kernel", "Version of the kernel", m.kernel),
		m.linux("machine.cpus", "Processors for the encoders", m.cpus),
		m.linux("machine.cpu_pressure", "Waiting for processors", m.cpuPressure),
		m.linux("machine.memory", "Available memory", m.memory),
		m.linux("machine.memory_pressure", "Waiting for memory", m.memoryPressure),
		m.linux("machine.shared_memory", "Shared memory for captures", m.sharedMemory),
		m.linux("machine.clock", "Synchronized clock", m.clockInStep),
		m.linux("machine.cgroups", "Control groups", m.controlGroups),
		m.linux("machine.conntrack", "Table of the firewall's connections", m.conntrack),
		m.linux("daemon.open_files", "Limit on open files", m.openFiles),
		m.linux("daemon.tasks", "Limit on threads", m.tasks),
		m.linux("daemon.memory_limit", "Limit on memory", m.memoryLimit),
		m.linux("daemon.oom_kills", "Processes killed for memory", m.oomKills),
		m.linux("daemon.throttled", "Limit on processor time", m.throttled),
		m.linux("devices.render", "Render nodes of graphics cards", m.renderNodes),
		m.linux("devices.nvidia", "Driver of NVIDIA cards", m.nvidia),
		{"network.interfaces", "Addresses of this machine", func(context.Context) Finding { return m.interfaces() }},
	}
}

// linux makes a check that reads the files of a Linux kernel.
func (m Machine) linux(id, title string, look func() Finding) Check {
	return Check{id, title, func(context.Context) Finding {
		if _, err := os.Stat(m.path("proc/self")); err != nil {
			return Skip("this system has no /proc")
		}
		return look()
	}}
}
