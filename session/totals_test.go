package session

import (
	"reflect"
	"testing"
	"time"
)

func TestTotals(t *testing.T) {
	var u usage
	created := time.Unix(1000, 0)
	look := func(seconds int, v Snapshot) { u.add(time.Duration(seconds)*time.Second, v) }
	look(2, Snapshot{Quality: "good", Display: "a", Path: "direct"})
	look(3, Snapshot{Quality: "good", Display: "a", Encoder: "libx264", Path: "direct"})
	look(4, Snapshot{Quality: "stalled", Display: "b", Encoder: "libx264", Frozen: true, Path: "relay"})
	look(1, Snapshot{Quality: "good", Display: "b", Encoder: "h264_vaapi"})
	look(1, Snapshot{Quality: "good", Display: "b"})
	got := *u.totals(created.Add(time.Minute), Snapshot{
		Created: created, Connected: created.Add(10 * time.Second), Codec: "H264", FramesSent: 7, BytesSent: 9,
	})
	want := Totals{
		Seconds: 60, Connected: 50, Quality: map[string]float64{"good": 7, "stalled": 4}, Frozen: 4, Frames: 7, Bytes: 9,
		Codec: "H264", Encoder: "h264_vaapi", Path: "relay", EncoderChanges: 1, DisplayChanges: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v; want %+v", got, want)
	}
	if never := new(usage).totals(created, Snapshot{Created: created}); never.Connected != 0 || never.Quality == nil {
		t.Errorf("a session that never connected: %+v", never)
	}
}

// Each kind of event has a shape.
func TestEventShapes(t *testing.T) {
	shapes := EventShapes()
	for _, k := range EventKinds() {
		if _, ok := shapes[k]; !ok {
			t.Errorf("%s has no shape", k)
		}
	}
	if len(shapes) != len(EventKinds()) {
		t.Errorf("%d shapes of %d kinds", len(shapes), len(EventKinds()))
	}
}
