package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Virtual is the ID of the usual virtual display. The IDs of the others begin with it and a colon.
const Virtual = "virtual"

const (
	// maxVirtual bounds the displays of displays.virtual. Each X server needs 95 MB before its first program.
	maxVirtual = 64
	// forever is the time of a display that continues until it is ended.
	forever time.Duration = -1
	// usualKeep is the keep of items without one. It outlasts a restart of the daemon, and of a viewer's machine.
	usualKeep = 10 * time.Minute
)

// VirtualItem is an item of displays.virtual. Zero fields stand for defaults.
type VirtualItem struct {
	Name     string
	Count    int
	Size     Size
	Programs []string
	Keep     time.Duration // negative for no limit
}

// VirtualDisplay is one display of displays.virtual.
type VirtualDisplay struct {
	ID string
	// Group is the ID of its group; empty for none.
	Group string
	Size  Size
	// Programs are programs with arguments; nil for the usual ones.
	Programs [][]string
	// Keep is the time for which the display continues without users; negative for no limit.
	Keep time.Duration
}

// Programs returns the programs of the usual virtual display, each with its arguments; nil for the usual ones.
func (d *Displays) Programs() [][]string { return commands(d.VirtualPrograms) }

// Virtuals returns the displays of displays.virtual in their order.
func (d *Displays) Virtuals() (all []VirtualDisplay) {
	for _, item := range d.Virtual {
		one := VirtualDisplay{ID: item.id(), Size: item.Size, Programs: commands(item.Programs), Keep: item.Keep}
		if one.Size == (Size{}) {
			one.Size = d.VirtualSize
		}
		if one.Programs == nil {
			one.Programs = d.Programs()
		}
		if one.Keep == 0 {
			one.Keep = usualKeep
		}
		if item.Count < 2 {
			all = append(all, one)
			continue
		}
		one.Group = one.ID
		for n := range item.Count {
			one.ID = one.Group + "-" + strconv.Itoa(n+1)
			all = append(all, one)
		}
	}
	return all
}

func (v *VirtualItem) id() string { return Virtual + ":" + v.Name }

// virtualName matches the names of virtual displays. The number of a member follows it.
var virtualName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// keepTime is a time for which a display is kept. Zero is not a value of it.
func keepTime() kind[time.Duration] {
	k := duration(time.Millisecond, longestKeep)
	parse, format := k.parse, k.format
	k.allowed += ", or " + Unlimited
	k.schema = map[string]any{"anyOf": []any{map[string]any{"const": Unlimited}, k.schema}}
	k.parse = func(s string) (time.Duration, error) {
		if s == Unlimited {
			return forever, nil
		}
		return parse(s)
	}
	k.format = func(d time.Duration) string {
		if d == forever {
			return Unlimited
		}
		return format(d)
	}
	return k
}

func virtualItems(p *[]VirtualItem) items[VirtualItem] {
	return items[VirtualItem]{
		p: p, noun: "the display",
		members: func(v *VirtualItem) []member {
			return []member{
				{
					name: "name", field: scalar[string]{text("name", "up to 32 lower-case letters, digits and dashes, with a letter "+
						"or digit at both ends", virtualName.MatchString), &v.Name},
					doc: "Name of the display or of the group; its ID is virtual:NAME.",
				},
				{
					name: "count", field: scalar[int]{number(1, maxVirtual), &v.Count},
					doc: "Number of displays. Above 1 they are a group, with the IDs virtual:NAME-1 and so on. Default: 1.",
				},
				{name: "size", field: scalar[Size]{pixels(), &v.Size}, doc: "Size. Default: displays.virtual_size."},
				{
					name: "programs", field: list{&v.Programs, isCommand, commandAllowed},
					doc: "Programs of the display, as command lines. Default: displays.virtual_programs.",
				},
				{
					name: "keep", field: scalar[time.Duration]{keepTime(), &v.Keep},
					doc: "Time for which the display continues without a viewer or a reservation. Default: 10 minutes.",
				},
			}
		},
		check: func(v *VirtualItem) string {
			if v.Name == "" {
				return "has no name: set name"
			}
			return ""
		},
	}
}

// virtualConflicts finds virtual displays that cannot exist together, and a default display that is not configured.
func (c *Config) virtualConflicts(found *conflictList) {
	total := 0
	for _, item := range c.Displays.Virtual {
		total += max(1, item.Count)
	}
	if total > maxVirtual {
		found.add(fmt.Sprintf("it has %d displays; at most %d are possible", total, maxVirtual), "displays.virtual")
		return
	}
	var ids []string // of displays and groups
	for _, item := range c.Displays.Virtual {
		ids = append(ids, item.id())
	}
	for _, one := range c.Displays.Virtuals() {
		if one.Group != "" {
			ids = append(ids, one.ID)
		}
	}
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			found.add(fmt.Sprintf("%s appears twice: each name must be unique, also among the members of groups", id),
				"displays.virtual")
			return
		}
	}
	if id := c.Displays.Default; IsOnDemand(id) && !slices.Contains(ids, id) {
		found.add(fmt.Sprintf("%s is not a display of displays.virtual", id), "displays.default", "displays.virtual")
	}
}

// IsOnDemand reports whether an ID is that of a display or group of displays.virtual, which run while something holds
// them.
func IsOnDemand(id string) bool { return strings.HasPrefix(id, Virtual+":") }
