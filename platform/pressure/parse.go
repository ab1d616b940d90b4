package pressure

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// hertz is the kernel's USER_HZ, the ticks in a second, which is 100 on every architecture that Go runs on.
const hertz = 100

// errForm means that a file of the kernel has an unexpected form.
var errForm = errors.New("pressure: unexpected form")

// parseStat reads /proc/stat: the number of processors in a set (nil for all), and their busy time.
func parseStat(text []byte, set map[int]bool) (processors int, busy time.Duration, err error) {
	ticks := int64(0)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || !strings.HasPrefix(f[0], "cpu") {
			break // they come first
		}
		if f[0] == "cpu" {
			continue // the sum
		}
		n, err := strconv.Atoi(f[0][len("cpu"):])
		if err != nil || len(f) < 9 {
			return 0, 0, fmt.Errorf("%w: /proc/stat has %.40q", errForm, line)
		}
		if set != nil && !set[n] {
			continue
		}
		processors++
		// user nice system idle iowait irq softirq steal; user includes guests.
		for i, v := range f[1:9] {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("%w: /proc/stat has %.20q", errForm, v)
			}
			if i != 3 && i != 4 {
				ticks += n
			}
		}
	}
	if processors == 0 {
		return 0, 0, fmt.Errorf("%w: /proc/stat has no processor that may be used", errForm)
	}
	return processors, time.Duration(ticks) * time.Second / time.Duration(hertz), nil
}

// parseOwn reads /proc/self/stat: the processor time of the process.
func parseOwn(text []byte) (time.Duration, error) {
	// The name, in parentheses, may contain anything. User and system time are the 12th and 13th field after it.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("%w: /proc/self/stat is %.40q", errForm, text)
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%w: /proc/self/stat has %.20q and %.20q", errForm, f[11], f[12])
	}
	return time.Duration(user+system) * time.Second / time.Duration(hertz), nil
}

// mostProcessors bounds the size of a set.
const mostProcessors = 1 << 16

// parseSet reads a set of processors, such as 0-3,8.
func parseSet(text string) (map[int]bool, error) {
	set := make(map[int]bool)
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a < 0 || b < a || b > mostProcessors {
			return nil, fmt.Errorf("%w: %.40q is no set of processors", errForm, text)
		}
		for n := a; n <= b; n++ {
			set[n] = true
		}
	}
	return set, nil
}

// parseMeminfo reads /proc/meminfo: the memory available without swapping, and the total, in bytes.
func parseMeminfo(text []byte) (free, total int64, err error) {
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case name == "MemAvailable" && err == nil:
			free = kb << 10
		case name == "MemTotal" && err == nil:
			total = kb << 10
		}
	}
	if total == 0 || free == 0 {
		return 0, 0, fmt.Errorf("%w: /proc/meminfo has neither MemAvailable nor MemTotal", errForm)
	}
	return free, total, nil
}

// parsePressure reads a file of /proc/pressure: the share of the last ten seconds in which some task waited.
func parsePressure(text []byte) (float64, error) {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "some avg10=")
		if !ok {
			continue
		}
		value, _, _ := strings.Cut(rest, " ")
		percent, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: pressure %.20q", errForm, value)
		}
		return percent / 100, nil
	}
	return 0, fmt.Errorf("%w: pressure without a line of some", errForm)
}

// parseQuota reads cpu.max of a control group (v2): the cores that it may use, or 0 for all.
func parseQuota(text []byte) (float64, error) {
	f := strings.Fields(string(text))
	if len(f) != 2 {
		return 0, fmt.Errorf("%w: cpu.max is %.40q", errForm, text)
	}
	if f[0] == "max" {
		return 0, nil
	}
	quota, err := strconv.ParseFloat(f[0], 64)
	period, err2 := strconv.ParseFloat(f[1], 64)
	if err != nil || err2 != nil || period <= 0 || quota <= 0 {
		return 0, fmt.Errorf("%w: cpu.max is %.40q", errForm, text)
	}
	return quota / period, nil
}

// parseField reads a line "name value" of a flat file, such as cpu.stat and memory.stat.
func parseField(text []byte, name string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return parseNumber([]byte(value))
		}
	}
	return 0, fmt.Errorf("%w: no %s", errForm, name)
}

// unlimited is what parseNumber returns for "max".
const unlimited = int64(1<<63 - 1)

// parseNumber reads a file with one number, or max.
func parseNumber(text []byte) (int64, error) {
	s := strings.TrimSpace(string(text))
	if s == "max" {
		return unlimited, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q is not a number", errForm, s)
	}
	return n, nil
}

// parseGroup reads /proc/self/cgroup. It returns the path in the unified hierarchy (v2) or, with the name of a
// controller, in the old one (v1).
func parseGroup(text []byte, controller string) (string, bool) {
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if controller == "" && f[0] == "0" && f[1] == "" {
			return f[2], true
		}
		for name := range strings.SplitSeq(f[1], ",") {
			if controller != "" && name == controller {
				return f[2], true
			}
		}
	}
	return "", false
}
