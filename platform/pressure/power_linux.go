package pressure

import (
	"os"
	"path/filepath"
	"strings"
)

const vendorNVIDIA = "0x10de"

// asleep reports whether a device is powered down, or about to power down or up. Reading its registers would wake it.
func (r root) asleep(device string) bool {
	status, err := r.read(device, "power/runtime_status")
	s := strings.TrimSpace(string(status))
	return err == nil && s != "active" && s != "unsupported"
}

// nvidiaPower reports whether the system powers an unused NVIDIA card down, as laptops with two cards do, and whether
// one is awake.
func (r root) nvidiaPower() (managed, awake bool) {
	const devices = "sys/bus/pci/devices"
	entries, err := os.ReadDir(filepath.Join(string(r), devices))
	if err != nil {
		return false, true
	}
	for _, e := range entries {
		device := filepath.Join(devices, e.Name())
		vendor, err := r.read(device, "vendor")
		class, err2 := r.read(device, "class")
		if err != nil || err2 != nil || strings.TrimSpace(string(vendor)) != vendorNVIDIA ||
			!strings.HasPrefix(string(class), "0x03") {
			continue
		}
		control, err := r.read(device, "power/control")
		managed = managed || err == nil && strings.TrimSpace(string(control)) == "auto"
		awake = awake || !r.asleep(device)
	}
	return managed, awake
}
