package kms

import (
	"encoding/json"
	"reflect"
	"testing"
)

// What the helper reads from its caller is refused, or is read again as what it was.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"query":{"output":"0000:00:02.0@HDMI-A-1","picture":true,"cursor":true,"seen":{"fb":7,` +
		`"area":{"Min":{"X":0,"Y":0},"Max":{"X":1920,"Y":1080}},"cursor_fb":8,"cursor_at":{"X":-3,"Y":4}}}}`))
	f.Add([]byte(`{"query":{"output":"vkms@Virtual-1","picture":true,"surface":true}}`))
	f.Add([]byte(`{"query":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if len(b) > maxRequest {
			t.Fatalf("a request of %d bytes was read", len(b))
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var second request
		if err := json.Unmarshal(again, &second); err != nil || !reflect.DeepEqual(r, second) {
			t.Fatalf("got %+v, %v; want %+v", second, err, r)
		}
		// A card has no such output, and the view must hold that.
		v := newView(func() []Node { return nil })
		defer v.close()
		if a, files := v.answer(t.Context(), r); len(files) != 0 || r.Query != nil && a.Reason != "absent" {
			t.Fatalf("got %+v with %d files", a, len(files))
		}
	})
}

// What the daemon reads from the helper has indices and numbers within their bounds.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"outputs":[{"id":"0000:00:02.0@HDMI-A-1","driver":"i915","width":1920,"height":1080}]}`), uint8(0))
	f.Add([]byte(`{"scanout":{"fb":7,"area":{"Min":{"X":0,"Y":0},"Max":{"X":64,"Y":48}},"rotation":1,"refresh":60,`+
		`"picture":{"width":64,"height":48,"format":875713112,"modifier":0,"parts":[{"file":0,"pitch":256,"offset":0}]}}}`),
		uint8(1))
	f.Add([]byte(`{"scanout":{"render":{"major":226,"minor":128},"picture":{"width":64,"height":48,`+
		`"modifier":72057594037927944,"parts":[{"file":0,"pitch":512},{"file":1,"pitch":64,"offset":4096}]}}}`), uint8(2))
	f.Add([]byte(`{"reason":"denied","error":"x"}`), uint8(0))
	f.Add([]byte(`{"scanout":{"hot":{"X":2147483648}}}`), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, files uint8) {
		a, err := parseAnswer(b, int(files))
		if err != nil {
			if len(err.Error()) > len(b)+2000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if len(a.Outputs) > maxOutputs {
			t.Fatalf("got %d outputs", len(a.Outputs))
		}
		if a.Scanout == nil {
			return
		}
		for _, buffer := range []*Buffer{a.Scanout.Picture, a.Scanout.Cursor} {
			if buffer == nil {
				continue
			}
			if buffer.Width < 0 || buffer.Width > maxSide || buffer.Height < 0 || buffer.Height > maxSide ||
				len(buffer.Parts) == 0 || len(buffer.Parts) > 4 {
				t.Fatalf("got %+v", buffer)
			}
			for _, p := range buffer.Parts {
				if p.File < 0 || p.File >= int(files) {
					t.Fatalf("got file %d of %d", p.File, files)
				}
			}
		}
	})
}
