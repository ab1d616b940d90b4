package drm

import "fmt"

// Pixel formats (drm_fourcc.h). The name has the order of colors in a little-endian number.
const (
	FormatXRGB8888    = 0x34325258
	FormatARGB8888    = 0x34325241
	FormatXBGR8888    = 0x34324258
	FormatABGR8888    = 0x34324241
	FormatXRGB2101010 = 0x30335258
	FormatARGB2101010 = 0x30335241
	FormatRGB565      = 0x36314752
)

// ModifierLinear is the layout of rows without tiles.
const ModifierLinear = 0

// FormatName names a pixel format.
func FormatName(f uint32) string {
	b := []byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%#x", f)
		}
	}
	return string(b)
}

// vendors name the owners of modifiers, by the number in their highest byte.
var vendors = map[uint64]string{
	1: "Intel", 2: "AMD", 3: "NVIDIA", 4: "Samsung", 5: "Qualcomm", 6: "Vivante", 7: "Broadcom", 8: "Arm", 9: "Allwinner",
	10: "Amlogic",
}

// ModifierName names a modifier.
func ModifierName(m uint64) string {
	switch m {
	case ModifierLinear:
		return "linear"
	case ModifierInvalid:
		return "not known"
	}
	if vendor, ok := vendors[m>>56]; ok {
		return fmt.Sprintf("%#x (%s)", m, vendor)
	}
	return fmt.Sprintf("%#x", m)
}
