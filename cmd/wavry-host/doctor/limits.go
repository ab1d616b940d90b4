package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// oldestKernel is the first long-term kernel with memory pressure, which admission reads, and with the memory events of
// control groups.
const oldestKernel = 504 // 5.4

func (m Machine) kernel() Finding {
	release := m.read("proc/sys/kernel/osrelease")
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return Warn("uname -r", "the version %q of the kernel is not understood", release)
	}
	if major*100+minor < oldestKernel {
		return Warn("update to Linux 5.4 or later", "Linux %s does not report pressure to admission", release)
	}
	return Fine("Linux %s", release)
}

// cpus counts the processors, less the share that the control group withholds.
func (m Machine) cpus() Finding {
	n, why := float64(m.CPUs), ""
	words := strings.Fields(m.read(m.group("cpu.max")))
	if len(words) == 2 {
		quota, err1 := strconv.ParseFloat(words[0], 64)
		period, err2 := strconv.ParseFloat(words[1], 64)
		if err1 == nil && err2 == nil && period > 0 && quota/period < n {
			n, why = quota/period, " by cpu.max of its control group"
		}
	}
	if n < 2 {
		return Warn("give the machine 2 cores, or raise CPUQuota= : systemctl edit wavry-host",
			"%.3g of %d processors%s: one software encoder at 1080p needs more", n, m.CPUs, why)
	}
	return Fine("%.3g processors%s", n, why)
}

// pressure returns the share of the last minute, in percent, that tasks waited for a resource (proc_pressure(5)).
func (m Machine) pressure(resource, kind string) (share float64, ok bool) {
	for line := range strings.Lines(m.read("proc/pressure/" + resource)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != kind {
			continue
		}
		share, err := strconv.ParseFloat(strings.TrimPrefix(words[2], "avg60="), 64)
		return share, err == nil
	}
	return 0, false
}

func (m Machine) cpuPressure() Finding {
	share, ok := m.pressure("cpu", "some")
	switch {
	case !ok:
		return Skip("the kernel does not report pressure (psi=1)")
	case share > 40:
		return Warn("top -b -n1 -o %CPU | head -20",
			"tasks waited for a processor in %.0f %% of the last minute", share)
	}
	return Fine("tasks waited in %.0f %% of the last minute", share)
}

func (m Machine) memoryPressure() Finding {
	share, ok := m.pressure("memory", "full")
	switch {
	case !ok:
		return Skip("the kernel does not report pressure (psi=1)")
	case share > 5:
		return Warn("ps -eo rss,comm --sort=-rss | head",
			"all tasks waited for memory in %.0f %% of the last minute", share)
	}
	return Fine("all tasks waited in %.0f %% of the last minute", share)
}

func (m Machine) memory() Finding {
	info := m.read("proc/meminfo")
	free, ok := field(info, "MemAvailable")
	all, _ := field(info, "MemTotal")
	free, all = free*kib, all*kib
	const fix = "ps -eo rss,comm --sort=-rss | head"
	switch {
	case !ok:
		return Warn("cat /proc/meminfo", "the available memory is unknown")
	case free < 256*mib:
		return Fail(fix, "%d MiB of %d MiB are available: the kernel soon kills programs", free/mib, all/mib)
	case free < 1024*mib:
		return Warn(fix, "%d MiB of %d MiB are available", free/mib, all/mib)
	}
	return Fine("%d MiB of %d MiB are available", free/mib, all/mib)
}

// sharedMemory checks that one picture of 8K fits into a segment.
func (m Machine) sharedMemory() Finding {
	const largest = 7680 * 4320 * 4
	most, ok := m.number("proc/sys/kernel/shmmax")
	switch {
	case !ok:
		return Skip("the kernel has no System V shared memory")
	case most < largest:
		return Warn("sysctl -w kernel.shmmax=18446744073692774399",
			"a segment has at most %d bytes: pictures of large displays are copied through the socket", most)
	}
	return Fine("a segment may have %d bytes", most)
}

func (m Machine) controlGroups() Finding {
	controllers := strings.Fields(m.read("sys/fs/cgroup/cgroup.controllers"))
	if len(controllers) == 0 {
		return Warn("boot with systemd.unified_cgroup_hierarchy=1",
			"no control groups of version 2: the use of the daemon and of its desktop cannot be told apart")
	}
	for _, needed := range []string{"cpu", "memory", "pids"} {
		if !strings.Contains(" "+strings.Join(controllers, " ")+" ", " "+needed+" ") {
			return Warn("boot without cgroup_disable="+needed, "version 2 without the controller %q", needed)
		}
	}
	return Fine("version 2 with %s", strings.Join(controllers, " "))
}

func (m Machine) conntrack() Finding {
	used, ok := m.number("proc/sys/net/netfilter/nf_conntrack_count")
	most, _ := m.number("proc/sys/net/netfilter/nf_conntrack_max")
	switch {
	case !ok || most == 0:
		return Skip("no firewall tracks connections")
	case used > most*8/10:
		return Warn("sysctl -w net.netfilter.nf_conntrack_max="+strconv.FormatUint(2*most, 10),
			"%d of %d entries are used: the firewall drops packets of new sessions when it is full", used, most)
	}
	return Fine("%d of %d entries", used, most)
}

// fewFiles is too small a limit: a session has a dozen sockets.
const fewFiles = 4096

func (m Machine) openFiles() Finding {
	const fix = "systemctl edit wavry-host, with LimitNOFILE=16384 under [Service]; outside systemd: ulimit -n 16384"
	most := uint64(0)
	for line := range strings.Lines(m.read(m.process("limits"))) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if words := strings.Fields(rest); len(words) >= 2 {
				most, _ = strconv.ParseUint(words[1], 10, 64) // Go raises the soft limit to the hard one
				if words[1] == "unlimited" {
					most = 1 << 62
				}
			}
		}
	}
	open, err := os.ReadDir(m.path(m.process("fd")))
	switch {
	case most == 0:
		return Skip("the limits of %s cannot be read", m.whose())
	case err == nil && uint64(len(open)) > most*8/10:
		return Fail(fix, "%s has %d of %d files open: it soon refuses connections", m.whose(), len(open), most)
	case most < fewFiles:
		return Warn(fix, "%s may open %d files; 20 sessions need about %d", m.whose(), most, fewFiles)
	}
	return Fine("%s may open %d files", m.whose(), most)
}

func (m Machine) tasks() Finding {
	most, ok := m.number(m.group("pids.max"))
	used, _ := m.number(m.group("pids.current"))
	switch {
	case !ok:
		return Fine("no limit in the control group of %s", m.whose())
	case used > most*8/10:
		return Warn("systemctl edit wavry-host, with TasksMax=1024 under [Service]",
			"%d of %d threads are used by %s: encoders soon cannot start", used, most, m.whose())
	}
	return Fine("%d of %d threads", used, most)
}

func (m Machine) memoryLimit() Finding {
	const fix = "systemctl edit wavry-host, with MemoryMax=4G under [Service]"
	most, ok := m.number(m.group("memory.max"))
	used, _ := m.number(m.group("memory.current"))
	switch {
	case !ok:
		return Fine("no limit in the control group of %s", m.whose())
	case used > most*9/10:
		return Fail(fix, "%d MiB of %d MiB are used by %s: the kernel soon kills it", used/mib, most/mib, m.whose())
	case most < 512*mib:
		return Warn(fix, "%s may use %d MiB; one session at 1080p needs about 200 MiB", m.whose(), most/mib)
	}
	return Fine("%d MiB of %d MiB", used/mib, most/mib)
}

func (m Machine) oomKills() Finding {
	n, ok := field(m.read(m.group("memory.events")), "oom_kill")
	switch {
	case !ok:
		return Skip("the control group of %s does not count them", m.whose())
	case n > 0:
		return Warn("journalctl -k -g 'Killed process'",
			"the kernel killed %d processes in the control group of %s", n, m.whose())
	}
	return Fine("none in the control group of %s", m.whose())
}

func (m Machine) throttled() Finding {
	stat := m.read(m.group("cpu.stat"))
	periods, ok := field(stat, "nr_periods")
	held, _ := field(stat, "nr_throttled")
	switch {
	case !ok || periods == 0:
		return Fine("no limit in the control group of %s", m.whose())
	case held > periods/10:
		return Warn("systemctl edit wavry-host, with CPUQuota= empty under [Service]",
			"the kernel held %s back in %d of %d periods: pictures are late", m.whose(), held, periods)
	}
	return Fine("held back in %d of %d periods", held, periods)
}
