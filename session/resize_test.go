package session

import (
	"context"
	"errors"
	"image"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"wavryhost/session/floor/floortest"
)

// openSized is a house whose display takes input and changes its size, by a rule.
func openSized(t *testing.T, virtual bool, rule ResizeRule) *house {
	t.Helper()
	var h *house
	h = openHouse(t, func(c *Config) {
		keys := &floortest.Keyboard{}
		if rule != "" {
			c.Rules = []Rule{{Display: "t*", Resize: rule}}
		}
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			d := displays(ctx)[0]
			d.Input, d.Virtual = injector(keys), virtual
			d.Resize = func(_ context.Context, size image.Point) (image.Point, error) {
				width, height := h.screen.Size()
				if size.X > 4000 {
					return image.Pt(width, height), ErrBadChange
				}
				h.screen.Resize(size.X, size.Y)
				return image.Pt(width, height), nil
			}
			return []Display{d}
		}
	})
	return h
}

func TestDisplayIsResizedForItsController(t *testing.T) {
	h := openSized(t, true, "")
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	r.control(h)
	r.playing(t, 1)
	if d := h.Host().Displays[0]; !d.Resizable || d.Width != 640 {
		t.Fatalf("got %+v; want a resizable display, 640 wide", d)
	}
	before := r.PC.RemoteDescription().SDP
	if err := h.Resize(t.Context(), Resize{Session: r.id, Size: image.Pt(800, 600)}); err != nil {
		t.Fatal(err)
	}
	_, keys := r.got()
	for h.screen.Touch(spot); ; h.screen.Touch(spot) {
		r.playing(t, 1)
		if d := h.Host().Displays[0]; d.Width == 800 && d.Height == 600 {
			break
		}
	}
	for _, more := r.got(); more == keys; _, more = r.got() { // the new size begins with a keyframe
		h.screen.Touch(spot)
		r.playing(t, 1)
	}
	if r.PC.RemoteDescription().SDP != before {
		t.Error("the stream was negotiated again")
	}
	for _, size := range []image.Point{{800, 600}, {4001, 600}} { // the same, and a size that it does not take
		if err := h.Resize(t.Context(), Resize{Display: "test", Size: size}); size.X > 4000 != errors.Is(err, ErrBadChange) {
			t.Errorf("%v: %v", size, err)
		}
	}
	var events []EventRecord
	for _, e := range h.told() {
		if e.Kind == EventDisplayResized.String() {
			events = append(events, e)
		}
	}
	if len(events) != 1 || events[0].From != "640x480" || events[0].To != "800x600" || events[0].Session != r.id ||
		events[0].Display != "test" {
		t.Errorf("got events %+v; want one", events)
	}
}

func TestDisplaysThatKeepTheirSize(t *testing.T) {
	for _, c := range []struct {
		name    string
		virtual bool
		rule    ResizeRule
		want    error
	}{
		{"virtual", true, "", nil},
		{"virtual, forbidden", true, ResizeDeny, ErrFixedSize},
		{"not virtual", false, "", ErrFixedSize},
		{"not virtual, allowed", false, ResizeAllow, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := openSized(t, c.virtual, c.rule)
			defer h.close(t)
			r := newRemote(t)
			defer r.close()
			r.steer(h, RoleOperator)
			r.playing(t, 1)
			err := h.Resize(t.Context(), Resize{Display: "default", Size: image.Pt(800, 600)})
			if !errors.Is(err, c.want) || h.Host().Displays[0].Resizable != (c.want == nil) {
				t.Errorf("got %v, %+v; want %v", err, h.Host().Displays[0], c.want)
			}
		})
	}
	h := openHouse(t, nil) // its display cannot
	defer h.close(t)
	err := h.Resize(t.Context(), Resize{Display: "test", Size: image.Pt(800, 600)})
	if !errors.Is(err, ErrFixedSize) {
		t.Errorf("got %v; want %v", err, ErrFixedSize)
	}
	for r, want := range map[Resize]error{
		{Display: "none"}: ErrUnknownDisplay, {Session: "none"}: ErrUnknownSession,
	} {
		if err := h.Resize(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("%+v: %v; want %v", r, err, want)
		}
	}
}

func TestOnlyControllersResize(t *testing.T) {
	h := openSized(t, true, "")
	defer h.close(t)
	for role, want := range map[Role]error{RoleViewer: ErrNoControl, RoleController: nil} {
		r := newRemote(t)
		defer r.close()
		r.steer(h, role)
		err := h.Resize(t.Context(), Resize{Session: r.id, Size: image.Pt(800, 600)})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", role, err, want)
		}
	}
}

func TestResizesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &resizer{rates: make(map[string]*rate.Limiter)}
		for i := range resizeBurst + 1 {
			if got, want := z.allow("a"), i < resizeBurst; got != want {
				t.Errorf("change %d: %v; want %v", i, got, want)
			}
		}
		if !z.allow("b") {
			t.Error("another display may not change")
		}
		time.Sleep(resizeEvery)
		if !z.allow("a") || z.allow("a") {
			t.Error("after a second: want one change")
		}
	})
}
