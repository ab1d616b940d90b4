package screencast

import (
	"image"
	"testing"

	"github.com/godbus/dbus/v5"
)

// Pictures are upright, and areas are in the units of the desktop.
func TestMonitors(t *testing.T) {
	current := map[string]dbus.Variant{"is-current": dbus.MakeVariant(true)}
	physical := []physicalMonitor{
		{ID: monitorID{Connector: "DP-1"}, Modes: []monitorMode{
			{Width: 640, Height: 480}, {Width: 3840, Height: 2160, Properties: current},
		}},
		{ID: monitorID{Connector: "DP-2"}, Modes: []monitorMode{{Width: 1920, Height: 1080, Properties: current}}},
	}
	logical := []logicalMonitor{
		{Scale: 2, Primary: true, Monitors: []monitorID{{Connector: "DP-1"}}},
		{X: 1920, Scale: 1, Transform: 1, Monitors: []monitorID{{Connector: "DP-2"}}},
		{X: 9000, Scale: 1, Monitors: []monitorID{{Connector: "unknown"}}},
	}
	for name, tt := range map[string]struct {
		mode  uint32
		first image.Rectangle
	}{
		"units are pixels":  {2, image.Rect(0, 0, 3840, 2160)},
		"units are logical": {1, image.Rect(0, 0, 1920, 1080)},
	} {
		got := arrange(physical, logical, map[string]dbus.Variant{"layout-mode": dbus.MakeVariant(tt.mode)})
		want := []Monitor{
			{Name: "DP-1", Area: tt.first, Size: image.Pt(3840, 2160), Scale: 2, Primary: true},
			{
				Name: "DP-2", Area: image.Rect(1920, 0, 3000, 1920), Size: image.Pt(1080, 1920), Scale: 1, Rotation: 90,
			},
			{Name: "unknown", Area: image.Rect(9000, 0, 9000, 0), Scale: 1},
		}
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Errorf("%s: got %+v; want %+v", name, got, want)
				break
			}
		}
	}
}
