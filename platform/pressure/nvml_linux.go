package pressure

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// nvml has the used functions of NVIDIA's library. One goroutine calls it.
type nvml interface {
	// load finds the library and its functions, and does nothing if they are found already.
	load() error
	// unload forgets them, so that the next load finds the current library. Nothing of it may be in use.
	unload()
	start() nvmlCode
	end() nvmlCode
	count() (int, nvmlCode)
	// card returns the i-th card, which is valid until end.
	card(i int) (nvmlCard, nvmlCode)
}

// nvmlCard is a card of the library. The result of a call is valid if its code is nvmlSuccess.
type nvmlCard interface {
	name() (string, nvmlCode)
	// busy and encoder are percentages.
	busy() (uint, nvmlCode)
	encoder() (uint, nvmlCode)
	memory() (used, total uint64, ret nvmlCode)
	sessions() (int, nvmlCode)
}

// nvmlCode is a return code of the library: nvmlReturn_t of nvml.h, section "Device Enums".
type nvmlCode int

const (
	nvmlSuccess          nvmlCode = 0
	nvmlDriverNotLoaded  nvmlCode = 9
	nvmlLibraryNotFound  nvmlCode = 12
	nvmlFunctionNotFound nvmlCode = 13
	nvmlVersionMismatch  nvmlCode = 18
)

// String is the code in words. The library has its own words, but they are available only with the library.
func (c nvmlCode) String() string {
	switch c {
	case nvmlDriverNotLoaded:
		return "the driver is not loaded"
	case nvmlVersionMismatch:
		return "the library is not of the loaded driver's version; restart the machine, or load the driver that is installed"
	default:
		return fmt.Sprintf("code %d", int(c))
	}
}

// nvidia reads NVIDIA's cards. One goroutine calls it.
type nvidia struct {
	lib   nvml
	begun bool
	// power reports whether the system powers unused cards down, and whether one is awake. It is nil where the system
	// never does. An open library counts as a use.
	power func() (managed, awake bool)
	last  []GPU     // of a system that does
	at    time.Time // when they were read
}

// restInterval is the interval for reading cards that may be powered down, while no encode runs on them.
const restInterval = time.Minute

// read returns the cards. Cards that are powered down are not touched. Cards that may be powered down are asked seldom
// while no encode runs.
func (n *nvidia) read() ([]GPU, error) {
	managed, awake := false, true
	if n.power != nil {
		managed, awake = n.power()
	}
	encodes := slices.ContainsFunc(n.last, func(c GPU) bool { return c.Sessions > 0 })
	switch {
	case !managed:
		return n.ask()
	case !awake:
		n.rest()
		for i := range n.last {
			c := &n.last[i]
			c.Busy, c.Encoder, c.MemoryUsed, c.Sessions = 0, 0, 0, 0
		}
		n.at = time.Time{}
		return slices.Clone(n.last), nil
	case !encodes && !n.at.IsZero() && time.Since(n.at) < restInterval:
		return slices.Clone(n.last), nil
	}
	cards, err := n.ask()
	n.last, n.at = slices.Clone(cards), time.Now()
	if !slices.ContainsFunc(cards, func(c GPU) bool { return c.Sessions > 0 }) {
		n.rest()
	}
	return cards, err
}

// rest closes the library.
func (n *nvidia) rest() {
	if !n.begun {
		return
	}
	n.begun = false
	if n.lib.end() == nvmlSuccess { // otherwise it may still work, so it stays loaded
		n.lib.unload()
	}
}

func (n *nvidia) ask() ([]GPU, error) {
	if !n.begun {
		if err := n.begin(); err != nil {
			return nil, err
		}
		n.begun = true
	}
	count, ret := n.lib.count()
	if ret != nvmlSuccess {
		return nil, n.again(fmt.Errorf("count cards: %v", ret))
	}
	var cards []GPU
	for i := range min(count, mostGPUs) {
		c, ret := n.lib.card(i)
		if ret != nvmlSuccess {
			continue // it fell off its bus; the others work
		}
		cards = append(cards, lookAt(i, c))
	}
	if len(cards) == 0 {
		return nil, n.again(errors.New("NVML finds no card"))
	}
	return cards, nil
}

func (n *nvidia) begin() error {
	if err := n.lib.load(); err != nil {
		return fmt.Errorf("%w: NVML: %w", ErrUnsupported, err)
	}
	ret := n.lib.start()
	if ret == nvmlSuccess {
		return nil
	}
	n.lib.unload()
	switch ret {
	case nvmlDriverNotLoaded, nvmlLibraryNotFound, nvmlFunctionNotFound:
		return fmt.Errorf("%w: NVML: %v", ErrUnsupported, ret)
	default:
		return fmt.Errorf("start NVML: %v", ret)
	}
}

// again makes the next read start the library anew, for example after a driver update.
func (n *nvidia) again(err error) error {
	n.begun = false
	if ret := n.lib.end(); ret != nvmlSuccess {
		return fmt.Errorf("%w; end NVML: %v", err, ret) // it may still work, so it stays loaded
	}
	n.lib.unload()
	return err
}

// lookAt reads one card. Figures that the card does not report stay 0; old and virtual cards report few.
func lookAt(i int, card nvmlCard) GPU {
	c := GPU{ID: fmt.Sprintf("nvidia%d", i), Name: "NVIDIA", API: "nvenc"}
	if name, ret := card.name(); ret == nvmlSuccess && name != "" {
		c.Name = name
	}
	if percent, ret := card.busy(); ret == nvmlSuccess {
		c.Busy = float64(min(percent, 100)) / 100
	}
	if percent, ret := card.encoder(); ret == nvmlSuccess {
		c.Encoder = float64(min(percent, 100)) / 100
	}
	// NVML's number for "not available" is all ones.
	if used, total, ret := card.memory(); ret == nvmlSuccess && used <= total && total <= math.MaxInt64 {
		c.MemoryUsed, c.MemoryTotal = int64(used), int64(total)
	}
	if n, ret := card.sessions(); ret == nvmlSuccess {
		c.Sessions = n
	}
	return c
}
