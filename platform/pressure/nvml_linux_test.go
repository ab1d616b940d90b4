//go:build cgo

package pressure

import (
	"errors"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

func TestNVML(t *testing.T) {
	cards, starts, ends := 2, 0, 0
	start := nvml.SUCCESS
	card := &mock.Device{
		GetNameFunc:               func() (string, nvml.Return) { return "NVIDIA L4", nvml.SUCCESS },
		GetUtilizationRatesFunc:   func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 41, Memory: 9}, nvml.SUCCESS },
		GetEncoderUtilizationFunc: func() (uint32, uint32, nvml.Return) { return 87, 167_000, nvml.SUCCESS },
		GetMemoryInfoFunc:         func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 24 << 30, Used: 3 << 30}, nvml.SUCCESS },
		GetEncoderStatsFunc:       func() (int, uint32, uint32, nvml.Return) { return 5, 60, 900, nvml.SUCCESS },
	}
	// Old cards and virtual ones tell little.
	mute := &mock.Device{
		GetNameFunc:               func() (string, nvml.Return) { return "", nvml.ERROR_UNKNOWN },
		GetUtilizationRatesFunc:   func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 99}, nvml.ERROR_NOT_SUPPORTED },
		GetEncoderUtilizationFunc: func() (uint32, uint32, nvml.Return) { return 99, 0, nvml.ERROR_NOT_SUPPORTED },
		GetMemoryInfoFunc:         func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_NOT_SUPPORTED },
		GetEncoderStatsFunc:       func() (int, uint32, uint32, nvml.Return) { return 9, 0, 0, nvml.ERROR_NOT_SUPPORTED },
	}
	n := &nvidia{lib: &mock.Interface{
		InitFunc:           func() nvml.Return { starts++; return start },
		ShutdownFunc:       func() nvml.Return { ends++; return nvml.SUCCESS },
		DeviceGetCountFunc: func() (int, nvml.Return) { return cards, nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
			return []nvml.Device{card, mute}[i], nvml.SUCCESS
		},
	}}
	for range 2 {
		got, err := n.read()
		if err != nil || len(got) != 2 || starts != 1 {
			t.Fatalf("%+v, %v, %d starts", got, err, starts)
		}
		if want := (GPU{ID: "nvidia0", Name: "NVIDIA L4", API: "nvenc", Busy: .41, Encoder: .87, MemoryUsed: 3 << 30, MemoryTotal: 24 << 30, Sessions: 5}); got[0] != want {
			t.Errorf("%+v; want %+v", got[0], want)
		}
		if want := (GPU{ID: "nvidia1", Name: "NVIDIA", API: "nvenc"}); got[1] != want {
			t.Errorf("%+v; want %+v", got[1], want)
		}
	}
	cards = 0
	if _, err := n.read(); err == nil || errors.Is(err, ErrUnsupported) || ends != 1 {
		t.Errorf("no card: %v, %d ends", err, ends)
	}
	start = nvml.ERROR_LIBRARY_NOT_FOUND
	if _, err := n.read(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no library: %v", err)
	}
}

// This machine may have a card; what matters is that a missing library is an answer.
func TestNVMLOfThisMachine(t *testing.T) {
	got, err := nvidiaDrivers()[0].read()
	if err != nil && !errors.Is(err, ErrUnsupported) || err == nil && len(got) == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	t.Log(got, err)
}
