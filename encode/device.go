package encode

import (
	"path/filepath"
	"strings"
)

// On returns the profile for each of the devices of its kind, in their order. On several devices, each name has the
// device: h264_vaapi@renderD129. A profile that needs no device, or for which none is known, stays as it is.
func (p Profile) On(devices []string) []Profile {
	if p.API == "" && p.DeviceOption == "" || len(devices) == 0 {
		return []Profile{p}
	}
	list := make([]Profile, 0, len(devices))
	for _, d := range devices {
		on := p
		on.Device = d
		if len(devices) > 1 {
			on.Name += separator + filepath.Base(d)
		}
		list = append(list, on)
	}
	return list
}

// separator precedes the device in the name of a profile.
const separator = "@"

// Encoder returns the name of the FFmpeg encoder: the name without the device.
func (p Profile) Encoder() string {
	name, _, _ := strings.Cut(p.Name, separator)
	return name
}
