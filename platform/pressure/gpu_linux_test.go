package pressure

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// cards are files as amdgpu of a discrete card, amdgpu of a processor's graphics, and i915 have them, beside a card of
// NVIDIA and a connector.
func cards() map[string]string {
	const drm = "sys/class/drm/"
	return map[string]string{
		drm + "card0/device/vendor": "0x1002\n",
		drm + "card0/device/uevent": "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\n" +
			"PCI_SLOT_NAME=0000:03:00.0\n",
		drm + "card0/device/gpu_busy_percent":    "37\n",
		drm + "card0/device/vcn_busy_percent":    "12\n",
		drm + "card0/device/mem_info_vram_total": "8573157376\n",
		drm + "card0/device/mem_info_vram_used":  "1073741824\n",
		drm + "card0/device/mem_info_gtt_total":  "16000000000\n",
		drm + "card0/device/mem_info_gtt_used":   "5\n",
		drm + "card0/device/drm/renderD128/dev":  "226:128\n",
		drm + "card0/device/drm/card0/dev":       "226:0\n",
		drm + "card0-DP-1/status":                "connected\n",
		drm + "card1/device/vendor":              "0x8086\n",
		drm + "card1/device/uevent":              "DRIVER=i915\nPCI_ID=8086:9A49\nPCI_SLOT_NAME=0000:00:02.0\n",
		drm + "card1/device/drm/renderD129/dev":  "226:129\n",
		drm + "card2/device/vendor":              "0x10de\n",
		drm + "card3/device/vendor":              "0x1002\n",
		drm + "card3/device/uevent":              "DRIVER=amdgpu\nPCI_ID=1002:1638\nPCI_SLOT_NAME=0000:07:00.0\n",
		drm + "card3/device/mem_info_vram_total": "536870912\n",
		drm + "card3/device/mem_info_vram_used":  "500000000\n",
		drm + "card3/device/mem_info_gtt_total":  "8000000000\n",
		drm + "card3/device/mem_info_gtt_used":   "100000000\n",
		drm + "card3/device/gpu_busy_percent":    "a driver's joke\n",
		"proc/self/fdinfo/5": "drm-driver: i915\ndrm-client-id: 1\ndrm-pdev: 0000:00:02.0\n" +
			"drm-engine-video: 1000000000 ns\n",
		"proc/self/fdinfo/6": "drm-driver: i915\ndrm-client-id: 1\ndrm-pdev: 0000:00:02.0\n" +
			"drm-engine-video: 1000000000 ns\n",
	}
}

func TestSysfs(t *testing.T) {
	dir := machine(t, cards())
	if err := os.MkdirAll(filepath.Join(string(dir), "proc/self/fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n, to := range map[string]string{"5": "/dev/dri/renderD129", "6": "/dev/dri/renderD129", "7": "/dev/null"} {
		if err := os.Symlink(to, filepath.Join(string(dir), "proc/self/fd", n)); err != nil {
			t.Fatal(err)
		}
	}
	s := &sysfs{root: dir}
	now := time.Unix(1000, 0)
	got, err := s.read(now)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []GPU{
		{
			ID:          "card0",
			Name:        "AMD 1002:744c",
			API:         "vaapi",
			Device:      "/dev/dri/renderD128",
			Busy:        .37,
			Encoder:     .12,
			MemoryUsed:  1 << 30,
			MemoryTotal: 8573157376,
		},
		{ID: "card1", Name: "Intel 8086:9a49", API: "vaapi", Device: "/dev/dri/renderD129"},
		{ID: "card3", Name: "AMD 1002:1638", API: "vaapi", MemoryUsed: 600000000, MemoryTotal: 8536870912},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v; want %+v", got[i], want[i])
		}
	}
	// A quarter of a second's work in a second, of one client that has two files open.
	for _, n := range []string{"5", "6"} {
		text := "drm-driver: i915\ndrm-client-id: 1\ndrm-pdev: 0000:00:02.0\ndrm-engine-video: 1250000000 ns\n"
		if err := os.WriteFile(filepath.Join(string(dir), "proc/self/fdinfo", n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err = s.read(now.Add(time.Second)); err != nil || got[1].Encoder != .25 {
		t.Errorf("%+v, %v; want a quarter", got[1], err)
	}
}

func TestSysfsWithoutCards(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no drm": nil, "a virtual machine": {
			"sys/class/drm/version":             "drm 1.1.0\n",
			"sys/class/drm/card0/device/vendor": "0x1af4\n",
		},
	} {
		if got, err := (&sysfs{root: machine(t, files)}).read(time.Now()); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
