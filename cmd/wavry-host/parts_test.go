package main

import (
	"testing"

	"wavryhost/platform/pressure"
)

func TestCardThatEncodes(t *testing.T) {
	all := []pressure.GPU{
		{ID: "nvidia0", API: "nvenc"},
		{ID: "nvidia1", API: "nvenc"},
		{ID: "card0", API: "vaapi", Device: "/dev/dri/renderD128"},
		{ID: "card1", API: "vaapi", Device: "/dev/dri/renderD129"},
	}
	for device, want := range map[string]string{
		"": "nvidia0 card0 card1 ", "/dev/dri/renderD129": "nvidia0 card1 ",
		"/dev/dri/renderD7": "nvidia0 ",
	} {
		got := ""
		for _, c := range cards(all, device) {
			if c.API != "" {
				got += c.ID + " "
			}
		}
		if got != want {
			t.Errorf("with device %q these encode: %s; want %s", device, got, want)
		}
	}
}
