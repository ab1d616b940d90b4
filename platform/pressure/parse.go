package pressure

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// errForm means that a file of the kernel does not look as it should.
var errForm = errors.New("pressure: unexpected form")

// parseStat reads /proc/stat: the time in which processors were not idle, given the ticks in a second.
func parseStat(text []byte, hertz int) (time.Duration, error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 9 || f[0] != "cpu" {
		return 0, fmt.Errorf("%w: /proc/stat begins %.40q", errForm, line)
	}
	// user nice system idle iowait irq softirq steal; guests are in user.
	ticks := int64(0)
	for i, v := range f[1:9] {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: /proc/stat has %.20q", errForm, v)
		}
		if i != 3 && i != 4 {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / time.Duration(hertz), nil
}

// parseMeminfo reads /proc/meminfo: what can be had without swapping, and what there is, in bytes.
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
		return 0, 0, fmt.Errorf("%w: /proc/meminfo tells neither MemAvailable nor MemTotal", errForm)
	}
	return free, total, nil
}

// parsePressure reads a file of /proc/pressure: the part of the last ten seconds in which some waited.
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

// parseQuota reads cpu.max of a control group (v2): the cores that it may use, 0 for all.
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

// parseField reads a line "name value" of a flat file, as cpu.stat and memory.stat are.
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

// parseNumber reads a file that is one number, or max.
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

// parseGroup reads /proc/self/cgroup: the path of the unified hierarchy (v2), or with a controller's name that of the old one (v1).
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
