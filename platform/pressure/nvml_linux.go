//go:build cgo

package pressure

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// nvidiaDrivers returns what reads NVIDIA's cards by the driver's own library, which is looked for when it runs.
func nvidiaDrivers() []driver {
	n := &nvidia{lib: nvml.New()}
	return []driver{{"nvml", n.read}}
}

// nvidia reads NVIDIA's cards. One goroutine calls it.
type nvidia struct {
	lib   nvml.Interface
	begun bool
}

func (n *nvidia) read() ([]GPU, error) {
	if !n.begun {
		switch ret := n.lib.Init(); {
		case ret == nvml.ERROR_LIBRARY_NOT_FOUND, ret == nvml.ERROR_DRIVER_NOT_LOADED, ret == nvml.ERROR_FUNCTION_NOT_FOUND:
			return nil, fmt.Errorf("%w: NVML: %s", ErrUnsupported, text(ret))
		case ret != nvml.SUCCESS:
			return nil, fmt.Errorf("start NVML: %s", text(ret))
		}
		n.begun = true
	}
	count, ret := n.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, n.again(fmt.Errorf("count cards: %s", text(ret)))
	}
	var cards []GPU
	for i := range min(count, mostGPUs) {
		d, ret := n.lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			continue // it fell off its bus; the others are there
		}
		cards = append(cards, lookAt(i, d))
	}
	if len(cards) == 0 {
		return nil, n.again(errors.New("NVML finds no card"))
	}
	return cards, nil
}

// again makes the next read start the library anew, as after an update of the driver.
func (n *nvidia) again(err error) error {
	n.begun = false
	if ret := n.lib.Shutdown(); ret != nvml.SUCCESS {
		return fmt.Errorf("%w; end NVML: %s", err, text(ret))
	}
	return err
}

// lookAt reads one card. What it does not tell stays 0.
func lookAt(i int, d nvml.Device) GPU {
	c := GPU{ID: fmt.Sprintf("nvidia%d", i), Name: "NVIDIA", API: "nvenc"}
	if name, ret := d.GetName(); ret == nvml.SUCCESS {
		c.Name = name
	}
	if u, ret := d.GetUtilizationRates(); ret == nvml.SUCCESS {
		c.Busy = float64(u.Gpu) / 100
	}
	if u, _, ret := d.GetEncoderUtilization(); ret == nvml.SUCCESS {
		c.Encoder = float64(u) / 100
	}
	if m, ret := d.GetMemoryInfo(); ret == nvml.SUCCESS {
		c.MemoryUsed, c.MemoryTotal = int64(m.Used), int64(m.Total)
	}
	if sessions, _, _, ret := d.GetEncoderStats(); ret == nvml.SUCCESS {
		c.Sessions = sessions
	}
	return c
}

// text is a code for people. The library's own words take the library, which may be what is missing.
func text(ret nvml.Return) string {
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return "libnvidia-ml.so.1 is not there"
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return "the driver is not loaded"
	default:
		return fmt.Sprintf("code %d", ret)
	}
}
