package main

import (
	"errors"
	"fmt"
	"image"
	"log/slog"
	"strings"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/darwin"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/cmd/wavry-host/doctor"
	"wavryhost/platform/display"
)

// A display of macOS has an ID that settings accept. Without the permission it is listed, with how to grant it.
func TestDisplaysOfMacOS(t *testing.T) {
	list := []darwin.Display{{
		ID: "8CDB1C9D-2D66-02CA-B9F7-8F30A301B230", Area: image.Rect(1512, 0, 3432, 1080), Size: image.Pt(1920, 1080),
	}, {
		ID: "37D8832A-2D66-02CA-B9F7-8F30A301B230", Area: image.Rect(0, 0, 1512, 982), Size: image.Pt(3024, 1964),
		Builtin: true, Main: true,
	}}
	all := macDisplays(list, nil)
	if len(all) != 2 || all[0].State != display.Usable || all[0].Width != 3024 || all[0].Scale != 2 || !all[0].Primary ||
		all[1].X != 1512 || all[1].Name == all[0].Name {
		t.Errorf("got %+v", all)
	}
	if id, _ := pick("auto", "", all); id != "darwin:"+list[1].ID {
		t.Errorf("%s is the default; want the main display", id)
	}
	denied := fmt.Errorf("%w: %s", capture.ErrDenied, darwin.Grant)
	all = macDisplays(list, denied)
	if all[0].State != display.Unusable || !strings.Contains(all[0].Why, "System Settings") {
		t.Errorf("got %+v", all[0])
	}
	if id, why := pick("auto", "", all); id != idSynthetic || !strings.Contains(why, "System Settings") {
		t.Errorf("got %s because %s", id, why)
	}
	for _, c := range all {
		if _, err := config.Load(config.Sources{Env: []string{"WAVRY_HOST_DISPLAYS__DEFAULT=" + c.ID}}); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	_, err := opener(all[0], &config.Config{}, slog.New(slog.DiscardHandler))(t.Context(), capture.Demand{})
	if !errors.Is(err, capture.ErrUnsupported) && !errors.Is(err, capture.ErrNotFound) {
		t.Errorf("got %v; want that there is no such display here", err)
	}
}

func TestPermissionInTheDoctor(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status doctor.Status
	}{
		{nil, doctor.OK},
		{capture.ErrUnsupported, doctor.Skipped},
		{fmt.Errorf("%w: no permission: %s", capture.ErrDenied, darwin.Grant), doctor.Failed},
	} {
		f := screenRecording(tt.err)
		if f.Status != tt.status || tt.status == doctor.Failed && (f.Fix != darwin.Grant ||
			strings.Contains(f.Evidence, f.Fix) || !strings.HasSuffix(f.Evidence, "no permission")) {
			t.Errorf("%v: got %+v", tt.err, f)
		}
	}
}
