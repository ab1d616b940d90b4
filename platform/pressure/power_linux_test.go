package pressure

import (
	"testing"
	"testing/synctest"
	"time"
)

// A card that sleeps is listed, and nothing is read of it that would wake it.
func TestCardThatSleepsIsLeftAlone(t *testing.T) {
	for status, want := range map[string]float64{
		"active\n": .37, "suspended\n": 0, "suspending\n": 0,
		"unsupported\n": .37, "": .37,
	} {
		files := cards()
		if status != "" {
			files["sys/class/drm/card0/device/power/runtime_status"] = status
		}
		got, err := (&sysfs{root: machine(t, files)}).read(time.Now())
		if err != nil || len(got) != 3 || got[0].Busy != want || (got[0].MemoryTotal > 0) != (want > 0) {
			t.Errorf("%q: got %+v, %v; want busy %v", status, got, err, want)
		}
	}
}

func TestPowerOfNVIDIACards(t *testing.T) {
	const at = "sys/bus/pci/devices/0000:01:00.0/"
	for name, c := range map[string]struct {
		files          map[string]string
		managed, awake bool
	}{
		"none": {nil, false, true},
		"a sound card": {map[string]string{at + "vendor": "0x10de\n", at + "class": "0x040300\n", at +
			"power/control": "auto\n"}, false, false},
		"a desktop": {map[string]string{at + "vendor": "0x10de\n", at + "class": "0x030000\n", at +
			"power/control": "on\n", at + "power/runtime_status": "active\n"}, false, true},
		"a laptop": {map[string]string{at + "vendor": "0x10de\n", at + "class": "0x030200\n", at +
			"power/control": "auto\n", at + "power/runtime_status": "suspended\n"}, true, false},
		"one that runs": {map[string]string{at + "vendor": "0x10de\n", at + "class": "0x030200\n", at +
			"power/control": "auto\n", at + "power/runtime_status": "active\n"}, true, true},
	} {
		if managed, awake := machine(t, c.files).nvidiaPower(); managed != c.managed || awake != c.awake {
			t.Errorf("%s: managed %v, awake %v; want %v, %v", name, managed, awake, c.managed, c.awake)
		}
	}
}

// The library is open while a card encodes, else for one read a minute, and not at all while the card sleeps.
func TestNVMLLetsCardsSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lib := &fakeNVML{cards: []fakeNVMLCard{{title: "NVIDIA RTX", busyPart: 50, encodes: 0}}}
		awake := false
		n := &nvidia{lib: lib, power: func() (bool, bool) { return true, awake }}
		read := func(seconds int) (got []GPU) {
			t.Helper()
			for range seconds {
				time.Sleep(time.Second)
				var err error
				if got, err = n.read(); err != nil {
					t.Fatal(err)
				}
			}
			return got
		}
		if read(100); lib.loads != 0 {
			t.Errorf("the library was loaded %d times for a card that sleeps", lib.loads)
		}
		awake = true
		if got := read(100); lib.loads != 2 || lib.started || len(got) != 1 || got[0].Busy != .5 {
			t.Errorf("loaded %d times in 100 s, open: %v, cards %+v; want 2, and closed in between", lib.loads, lib.started, got)
		}
		lib.cards[0].encodes = 1
		read(100)
		loads := lib.loads
		if got := read(100); lib.loads != loads || !lib.started || got[0].Sessions != 1 {
			t.Errorf(
				"loaded %d times more, open: %v, cards %+v; want it open while there are encodes", lib.loads-loads, lib.started,
				got,
			)
		}
		lib.cards[0].encodes = 0
		if read(2); lib.started {
			t.Error("the library stays open after the last encode")
		}
		awake = false
		if got := read(1); len(got) != 1 || got[0].Busy != 0 {
			t.Errorf("got %+v of a card that went to sleep; want it idle", got)
		}
	})
}
