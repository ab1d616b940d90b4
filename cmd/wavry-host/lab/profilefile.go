package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"wavryhost/adapt/simulate"
)

// file is a profile that is read. It collects problems, so that one attempt shows all of them.
type file struct {
	name     string
	open     func(trace string) ([]byte, error)
	problems []error
}

// parse reads a profile. open reads a trace that it names.
func parse(name string, data []byte, open func(string) ([]byte, error)) (Profile, error) {
	base := filepath.Base(name)
	p := Profile{Name: strings.TrimSuffix(base, filepath.Ext(base))}
	f := &file{name: name, open: open}
	var doc yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); {
	case errors.Is(err, io.EOF):
		return p, fmt.Errorf("%s: the file is empty; it needs to_viewer and to_host", name)
	case err != nil:
		return p, fmt.Errorf("%s: %w", name, err)
	}
	root := doc.Content[0]
	given := f.section(root, "", map[string]func(*yaml.Node, string){
		"about":        func(n *yaml.Node, where string) { p.About = f.text(n, where) },
		"same_network": func(n *yaml.Node, where string) { p.SameNetwork = f.boolean(n, where) },
		"to_viewer":    func(n *yaml.Node, where string) { p.ToViewer = f.link(n, where) },
		"to_host":      func(n *yaml.Node, where string) { p.ToHost = f.link(n, where) },
		"goals":        func(n *yaml.Node, where string) { p.Goals = f.goals(n, where) },
	})
	for _, key := range []string{"about", "to_viewer", "to_host"} {
		if !slices.Contains(given, key) {
			f.fail(root, key, "is missing")
		}
	}
	return p, errors.Join(f.problems...)
}

// fail notes what is wrong with a field.
func (f *file) fail(n *yaml.Node, where, format string, args ...any) {
	f.problems = append(f.problems, fmt.Errorf("%s:%d: %s %s", f.name, n.Line, where, fmt.Sprintf(format, args...)))
}

// section reads the keys of a mapping, and returns those with a value.
func (f *file) section(n *yaml.Node, path string, keys map[string]func(n *yaml.Node, where string)) (given []string) {
	if n.Kind != yaml.MappingNode {
		f.fail(n, strings.TrimSuffix(path, "."), "is no section: write its fields below it, indented")
		return nil
	}
	for pair := range slices.Chunk(n.Content, 2) {
		key, where := pair[0].Value, path+pair[0].Value
		read, known := keys[key]
		switch {
		case !known:
			names := make([]string, 0, len(keys))
			for name := range keys {
				names = append(names, name)
			}
			slices.Sort(names)
			f.fail(pair[0], where, "is unknown; the fields here are %s", strings.Join(names, ", "))
		case slices.Contains(given, key):
			f.fail(pair[0], where, "is given twice")
		default:
			given = append(given, key)
			read(pair[1], where)
		}
	}
	return given
}

// link reads one direction.
func (f *file) link(n *yaml.Node, where string) (l simulate.Link) {
	given := f.section(n, where+".", map[string]func(*yaml.Node, string){
		"rate":  func(n *yaml.Node, where string) { l.Capacity = f.capacity(n, where) },
		"trace": func(n *yaml.Node, where string) { l.Capacity = f.trace(n, where) },
		"cellular": func(n *yaml.Node, where string) {
			l.Capacity = f.cellular(n, where)
		},
		"delay":  func(n *yaml.Node, where string) { l.Delay = f.duration(n, where, 0, 5*time.Second) },
		"jitter": func(n *yaml.Node, where string) { l.Jitter = f.duration(n, where, 0, time.Second) },
		"bunch": func(n *yaml.Node, where string) {
			if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
				f.fail(n, where, "is the shortest and the longest time between bunches, such as [2ms, 10ms]")
				return
			}
			for i, one := range n.Content {
				l.Bunch[i] = f.duration(one, where, 0, time.Second)
			}
			if l.Bunch[0] > l.Bunch[1] {
				f.fail(n, where, "has a shortest time above the longest one; swap them")
			}
		},
		"loss":  func(n *yaml.Node, where string) { l.Loss = f.share(n, where, .5) },
		"burst": func(n *yaml.Node, where string) { l.Burst = f.number(n, where, 1, 1000, "packets") },
		"queue": func(n *yaml.Node, where string) { l.Queue, l.QueueBytes = f.queue(n, where) },
		"aqm":   func(n *yaml.Node, where string) { l.AQM = f.aqm(n, where) },
	})
	rates := 0
	for _, key := range []string{"rate", "trace", "cellular"} {
		if slices.Contains(given, key) {
			rates++
		}
	}
	if rates != 1 && n.Kind == yaml.MappingNode {
		f.fail(n, where, "needs exactly one of rate, trace and cellular; it has %d", rates)
	}
	if !slices.Contains(given, "queue") && n.Kind == yaml.MappingNode {
		f.fail(n, where+".queue", "is missing; write a time such as 100ms, or a size such as 64kB")
	}
	return l
}

func (f *file) goals(n *yaml.Node, where string) (g Goals) {
	f.section(n, where+".", map[string]func(*yaml.Node, string){
		"first_frame":    func(n *yaml.Node, where string) { g.FirstFrame = f.duration(n, where, 1, time.Minute) },
		"longest_freeze": func(n *yaml.Node, where string) { g.LongestFreeze = f.duration(n, where, 1, time.Minute) },
		"queue":          func(n *yaml.Node, where string) { g.Queue = f.duration(n, where, 1, time.Minute) },
		"good":           func(n *yaml.Node, where string) { g.Good = f.share(n, where, 1) },
		"usable":         func(n *yaml.Node, where string) { g.Usable = f.share(n, where, 1) },
		"fps":            func(n *yaml.Node, where string) { g.FPS = f.number(n, where, 0, 240, "frames per second") },
		"bitrate":        func(n *yaml.Node, where string) { g.Bitrate = f.rate(n, where) },
	})
	return g
}

// scalar returns the text of a value, and whether it has one.
func (f *file) scalar(n *yaml.Node, where string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		f.fail(n, where, "needs one value")
		return "", false
	}
	return n.Value, true
}

func (f *file) text(n *yaml.Node, where string) string {
	text, _ := f.scalar(n, where)
	return text
}

func (f *file) boolean(n *yaml.Node, where string) bool {
	text, ok := f.scalar(n, where)
	if ok && text != "true" && text != "false" {
		f.fail(n, where, "is %q; write true or false", text)
	}
	return text == "true"
}

func (f *file) duration(n *yaml.Node, where string, least, most time.Duration) time.Duration {
	text, ok := f.scalar(n, where)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		f.fail(n, where, "is %q; write a time up to %v with its unit, such as 20ms", text, most)
	}
	return d
}

// share is a percentage.
func (f *file) share(n *yaml.Node, where string, most float64) float64 {
	text, ok := f.scalar(n, where)
	if !ok {
		return 0
	}
	digits, percent := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !percent || !(x >= 0 && x <= most*100) {
		f.fail(n, where, "is %q; write a share from 0%% to %g%%, such as 0.5%%", text, most*100)
		return 0
	}
	return x / 100
}

func (f *file) number(n *yaml.Node, where string, least, most float64, unit string) float64 {
	text, ok := f.scalar(n, where)
	if !ok {
		return 0
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= least && x <= most) {
		f.fail(n, where, "is %q; write a number from %g to %g, in %s", text, least, most, unit)
		return 0
	}
	return x
}

// rate is a number of bits per second, as in the configuration.
func (f *file) rate(n *yaml.Node, where string) float64 {
	text, ok := f.scalar(n, where)
	if !ok {
		return 0
	}
	digits, unit := text, 1.0
	for suffix, factor := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if cut, ok := strings.CutSuffix(text, suffix); ok {
			digits, unit = cut, factor
		}
	}
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(x*unit >= 0 && x*unit <= 1e9) {
		f.fail(n, where, "is %q; write bits per second up to 1G, such as 500k or 20M", text)
		return 0
	}
	return x * unit
}

// capacity is a rate, or a list of steps.
func (f *file) capacity(n *yaml.Node, where string) simulate.Capacity {
	if n.Kind != yaml.SequenceNode {
		before := len(f.problems)
		rate := f.rate(n, where)
		if rate == 0 && len(f.problems) == before {
			f.fail(n, where, "carries nothing; write a rate above 0, such as 20M")
		}
		return simulate.Constant(rate)
	}
	var c simulate.Capacity
	for _, one := range n.Content {
		var s simulate.Step
		given := f.section(one, where+".", map[string]func(*yaml.Node, string){
			"at":   func(n *yaml.Node, where string) { s.At = f.duration(n, where, 0, longestTrace) },
			"rate": func(n *yaml.Node, where string) { s.BitsPerSecond = f.rate(n, where) },
		})
		if len(given) != 2 && one.Kind == yaml.MappingNode {
			f.fail(one, where, "has a step without both at and rate, such as {at: 10s, rate: 2M}")
		}
		if len(c) > 0 && s.At <= c[len(c)-1].At {
			f.fail(one, where, "has a step at %v, which is not after the one before it", s.At)
		}
		c = append(c, s)
	}
	switch {
	case len(c) == 0:
		f.fail(n, where, "has no steps")
		return simulate.Constant(0)
	case c[len(c)-1].BitsPerSecond == 0:
		f.fail(n, where, "ends with a rate of 0, so that no packet ever arrives; add a step with another rate")
	}
	return c
}

// trace is a file in Mahimahi's form.
func (f *file) trace(n *yaml.Node, where string) simulate.Capacity {
	text, ok := f.scalar(n, where)
	if !ok {
		return simulate.Constant(0)
	}
	data, err := f.open(text)
	if err != nil {
		f.fail(n, where, "cannot be read: %v", err)
		return simulate.Constant(0)
	}
	c, err := simulate.ReadMahimahi(bytes.NewReader(data), longestTrace)
	if err != nil {
		f.fail(n, where, "%s is not a trace of Mahimahi: %v", text, err)
		return simulate.Constant(0)
	}
	return c
}

// cellular is the simulator's model of a moving phone.
func (f *file) cellular(n *yaml.Node, where string) simulate.Capacity {
	var mean, deviation, fades, seed float64
	given := f.section(n, where+".", map[string]func(*yaml.Node, string){
		"mean":      func(n *yaml.Node, where string) { mean = f.rate(n, where) },
		"deviation": func(n *yaml.Node, where string) { deviation = f.number(n, where, 0, 2, "natural logarithms") },
		"fades":     func(n *yaml.Node, where string) { fades = f.number(n, where, 0, 60, "fades a minute") },
		"seed":      func(n *yaml.Node, where string) { seed = f.number(n, where, 0, 1e9, "whole numbers") },
	})
	if !slices.Contains(given, "mean") && n.Kind == yaml.MappingNode {
		f.fail(n, where+".mean", "is missing; write a rate such as 12M")
	}
	return simulate.Cellular(uint64(seed), mean, deviation, fades, longestTrace)
}

// queue is the size of a buffer, in time at the highest rate or in bytes.
func (f *file) queue(n *yaml.Node, where string) (time.Duration, int) {
	text, ok := f.scalar(n, where)
	if !ok {
		return 0, 0
	}
	if digits, bytes := strings.CutSuffix(text, "B"); bytes {
		unit := 1.0
		if cut, ok := strings.CutSuffix(digits, "k"); ok {
			digits, unit = cut, 1e3
		} else if cut, ok := strings.CutSuffix(digits, "M"); ok {
			digits, unit = cut, 1e6
		}
		if x, err := strconv.ParseFloat(digits, 64); err == nil && x*unit >= 2*largest && x*unit <= 100e6 {
			return 0, int(x * unit)
		}
	} else if d, err := time.ParseDuration(text); err == nil && d > 0 && d <= 10*time.Second {
		return d, 0
	}
	f.fail(n, where, "is %q; write a time up to 10s such as 100ms, or a size from 3kB to 100MB such as 64kB", text)
	return 0, 0
}

// managements are the queue managements by their names.
var managements = map[string]simulate.AQM{
	"droptail": simulate.DropTail, "codel": simulate.CoDel, "fq_codel": simulate.FQCoDel, "pie": simulate.PIE,
}

func (f *file) aqm(n *yaml.Node, where string) simulate.AQM {
	text, ok := f.scalar(n, where)
	a, known := managements[text]
	if ok && !known {
		f.fail(n, where, "is %q; write droptail, codel, fq_codel or pie", text)
	}
	return a
}
