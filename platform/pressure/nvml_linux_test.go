package pressure

import (
	"errors"
	"math"
	"testing"
)

// Codes that mean nothing to the reader, but that libraries give.
const (
	nvmlUnknown      nvmlCode = 999
	nvmlNotSupported nvmlCode = 3
	nvmlLost         nvmlCode = 15
)

// fakeNVML is a library whose cards do not change.
type fakeNVML struct {
	loads, ends                                 int
	loaded, started                             bool
	loadErr                                     error
	startCode, endCode, countCode               nvmlCode
	cards                                       []fakeNVMLCard
	usedUnloaded, startedTwice, unloadedStarted bool
}

func (f *fakeNVML) load() error {
	if f.loadErr == nil && !f.loaded {
		f.loaded = true
		f.loads++
	}
	return f.loadErr
}

func (f *fakeNVML) unload() {
	f.unloadedStarted = f.unloadedStarted || f.started
	f.loaded = false
}

func (f *fakeNVML) start() nvmlCode {
	f.usedUnloaded = f.usedUnloaded || !f.loaded
	f.startedTwice = f.startedTwice || f.started
	f.started = f.startCode == nvmlSuccess
	return f.startCode
}

func (f *fakeNVML) end() nvmlCode {
	f.ends++
	f.started = false
	return f.endCode
}

func (f *fakeNVML) count() (int, nvmlCode) {
	f.usedUnloaded = f.usedUnloaded || !f.started
	return len(f.cards), f.countCode
}

func (f *fakeNVML) card(i int) (nvmlCard, nvmlCode) { return f.cards[i], f.cards[i].found }

// fakeNVMLCard has figures, all of which come with one code.
type fakeNVMLCard struct {
	title                   string
	busyPart, encoderPart   uint
	memoryUsed, memoryTotal uint64
	encodes                 int
	found, told             nvmlCode
}

func (c fakeNVMLCard) name() (string, nvmlCode)          { return c.title, c.told }
func (c fakeNVMLCard) busy() (uint, nvmlCode)            { return c.busyPart, c.told }
func (c fakeNVMLCard) encoder() (uint, nvmlCode)         { return c.encoderPart, c.told }
func (c fakeNVMLCard) memory() (_, _ uint64, _ nvmlCode) { return c.memoryUsed, c.memoryTotal, c.told }
func (c fakeNVMLCard) sessions() (int, nvmlCode)         { return c.encodes, c.told }

func TestNVML(t *testing.T) {
	lib := &fakeNVML{cards: []fakeNVMLCard{
		{title: "NVIDIA L4", busyPart: 41, encoderPart: 87, memoryUsed: 3 << 30, memoryTotal: 24 << 30, encodes: 5},
		// Old cards and virtual ones tell little.
		{title: "not told", busyPart: 99, encoderPart: 99, memoryUsed: 1, memoryTotal: 2, encodes: 9, told: nvmlNotSupported},
		{title: "off its bus", found: nvmlLost},
		// The number for "not available", where it comes as a success.
		{busyPart: math.MaxUint32, encoderPart: math.MaxUint32, memoryUsed: math.MaxUint64, memoryTotal: math.MaxUint64},
	}}
	n := &nvidia{lib: lib}
	want := []GPU{
		{
			ID:          "nvidia0",
			Name:        "NVIDIA L4",
			API:         "nvenc",
			Busy:        .41,
			Encoder:     .87,
			MemoryUsed:  3 << 30,
			MemoryTotal: 24 << 30,
			Sessions:    5,
		},
		{ID: "nvidia1", Name: "NVIDIA", API: "nvenc"},
		{ID: "nvidia3", Name: "NVIDIA", API: "nvenc", Busy: 1, Encoder: 1},
	}
	for range 2 {
		got, err := n.read()
		if err != nil || len(got) != len(want) || lib.loads != 1 {
			t.Fatalf("%+v, %v, loaded %d times", got, err, lib.loads)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%+v; want %+v", got[i], want[i])
			}
		}
	}
	cards := lib.cards
	lib.cards = nil
	if _, err := n.read(); err == nil || errors.Is(err, ErrUnsupported) || lib.ends != 1 || lib.loaded {
		t.Errorf("no card: %v, ended %d times, loaded: %v", err, lib.ends, lib.loaded)
	}
	lib.cards = cards
	if got, err := n.read(); err != nil || len(got) != len(want) || lib.loads != 2 {
		t.Errorf("cards are back: %+v, %v, loaded %d times", got, err, lib.loads)
	}
	lib.countCode, lib.endCode = nvmlUnknown, nvmlUnknown
	if _, err := n.read(); err == nil || errors.Is(err, ErrUnsupported) || !lib.loaded {
		t.Errorf("a library that does not end: %v, loaded: %v; want an error, and that it stays", err, lib.loaded)
	}
	if lib.usedUnloaded || lib.startedTwice || lib.unloadedStarted {
		t.Errorf(
			"used unloaded: %v, started twice: %v, unloaded at work: %v", lib.usedUnloaded, lib.startedTwice,
			lib.unloadedStarted,
		)
	}
}

func TestNVMLThatDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		lib         fakeNVML
		unsupported bool
	}{
		"no library":       {fakeNVML{loadErr: errors.New("test error")}, true},
		"no driver":        {fakeNVML{startCode: nvmlDriverNotLoaded}, true},
		"another driver":   {fakeNVML{startCode: nvmlVersionMismatch}, false},
		"something passes": {fakeNVML{startCode: nvmlUnknown}, false},
	} {
		n := &nvidia{lib: &c.lib}
		for range 2 {
			if got, err := n.read(); err == nil || errors.Is(err, ErrUnsupported) != c.unsupported || c.lib.loaded {
				t.Errorf("%s: %+v, %v, loaded: %v", name, got, err, c.lib.loaded)
			}
		}
		if c.lib.usedUnloaded || c.lib.ends != 0 {
			t.Errorf("%s: used unloaded: %v, ended %d times", name, c.lib.usedUnloaded, c.lib.ends)
		}
	}
}

// This machine may have a card; what matters is that a missing library is an answer.
func TestNVMLOfThisMachine(t *testing.T) {
	for _, d := range nvidiaDrivers() {
		got, err := d.read()
		if err != nil && !errors.Is(err, ErrUnsupported) || err == nil && len(got) == 0 {
			t.Errorf("%+v, %v", got, err)
		}
		t.Log(got, err)
	}
}
