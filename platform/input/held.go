package input

import "slices"

// held has the pressed keys and buttons of a display, in order.
type held struct {
	list []heldOne
	// before is the list before the current batch, and since what was pressed in it.
	before, since []heldOne
}

type heldOne struct {
	press
	number byte // the display's
}

// begin begins a batch of commands.
func (h *held) begin() { h.before, h.since = slices.Clone(h.list), nil }

// add notes a press.
func (h *held) add(p press, number byte) {
	h.list = append(h.list, heldOne{p, number})
	h.since = append(h.since, heldOne{p, number})
}

// remove notes a release, and returns the display's number.
func (h *held) remove(p press) (number byte, ok bool) {
	i := slices.IndexFunc(h.list, func(one heldOne) bool { return one.press == p })
	if i < 0 {
		return 0, false
	}
	number = h.list[i].number
	h.list = slices.Delete(h.list, i, i+1)
	return number, true
}

// drop returns what is held, the last one first. So a key is released before its modifier.
func (h *held) drop() []heldOne {
	out := slices.Clone(h.list)
	slices.Reverse(out)
	h.list = nil
	return out
}

// doubt counts everything as held that was held before the batch or was pressed in it. It is unknown what the display
// has done; releasing a key that is not pressed has no effect.
func (h *held) doubt() {
	h.list = h.before
	for _, one := range h.since {
		if !slices.Contains(h.list, one) {
			h.list = append(h.list, one)
		}
	}
}
