package pipeline

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// slowFactory opens encoders like a graphics card: it takes its time.
type slowFactory struct {
	*encodetest.Fake
	takes time.Duration
	fails *atomic.Bool // nil: never
}

func (f slowFactory) Open(p encode.Params) (encode.Encoder, error) {
	time.Sleep(f.takes)
	if f.fails != nil && f.fails.Load() {
		return nil, errTest
	}
	return f.Fake.Open(p)
}

// slowDevice returns a fake device that opens in 300 ms, with room for so many encoders, or any number.
func slowDevice(room int, onEncode func(int) error) slowFactory {
	cfg := encodetest.Config{
		Profile: encode.Profile{Name: "device", Hardware: true}, Limit: room, OnEncode: onEncode,
	}
	return slowFactory{Fake: encodetest.New(cfg), takes: 300 * time.Millisecond, fails: &atomic.Bool{}}
}

// longestPause returns the longest time between two pictures from the n-th on.
func (v *fakeViewer) longestPause(n int) (longest time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := n + 1; i < len(v.at); i++ {
		longest = max(longest, v.at[i].Sub(v.at[i-1]))
	}
	return longest
}

// A device of another size is opened while the open one encodes. It takes over with a keyframe.
func TestDeviceIsReopenedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := slowDevice(0, nil)
		r := openRig(t, 60, device)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, time.Second)
		before, keys := v.got()
		v.set(func(d *Demand) { d.Scale = .5 })
		move(r.screen, time.Second)
		v.set(func(d *Demand) { d.Scale = .25 })
		move(r.screen, 100*time.Millisecond)
		v.set(func(d *Demand) { d.Scale = .75 }) // before the encoder for the former size is open
		move(r.screen, time.Second)
		if pause := v.longestPause(before); pause > 2*time.Second/60 {
			t.Errorf("%v between two pictures; want two frame times at most", pause)
		}
		units := v.pictures(before)
		if last := units[len(units)-1]; last.Width != 480 || last.Height != 360 {
			t.Errorf("%dx%d; want three quarters of the size", last.Width, last.Height)
		}
		for i := 1; i < len(units); i++ {
			if units[i].Width != units[i-1].Width && !units[i].Key {
				t.Errorf("picture %d has another size and is no keyframe", i)
			}
		}
		if _, k := v.got(); k-keys != 2 {
			t.Errorf("%d keyframes; want one for each size that stayed", k-keys)
		}
		if s := device.Stats(); s.Opened-s.Closed != 1 {
			t.Errorf("%d encoders are open; want 1", s.Opened-s.Closed)
		}
		if n := len(r.kinds()); n != 0 {
			t.Errorf("%d events; want none", n)
		}
		r.close(t)
		if s := device.Stats(); s.Opened != s.Closed {
			t.Errorf("%d encoders are left open", s.Opened-s.Closed)
		}
	})
}

// A still picture gets its size too, although no frame comes.
func TestDeviceIsReopenedUnderAStillPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60, slowDevice(0, nil))
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, time.Second)
		r.screen.Resize(320, 240)
		time.Sleep(time.Second)
		if units := v.pictures(0); units[len(units)-1].Width != 320 {
			t.Errorf("%d pixels wide; want the new size", units[len(units)-1].Width)
		}
		r.close(t)
	})
}

// A picture that stands still gets the size that is wanted, too.
func TestStillPictureChangesItsSize(t *testing.T) {
	for name, encoders := range map[string][]encode.Factory{
		"software": nil, "a slow device": {slowDevice(2, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t, 60, encoders...)
				v := newFakeViewer()
				r.encodings.list[0].Subscribe(v)
				v.set(func(d *Demand) { d.Scale = .5 })
				move(r.screen, time.Second)
				for _, scale := range []float64{.75, 1} {
					v.set(func(d *Demand) { d.Scale = scale })
					time.Sleep(5 * time.Second)
					units := v.pictures(0)
					if got, want := units[len(units)-1].Width, int(640*scale); got != want {
						t.Errorf("%d pixels wide after 5 s; want %d", got, want)
					}
				}
				r.close(t)
			})
		})
	}
}

// A device with room for one encoder is closed before it is opened again.
func TestFullDeviceIsReopened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := slowDevice(1, nil)
		software := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "software"}})
		r := openRig(t, 60, device, software)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, time.Second)
		for _, scale := range []float64{.5, .75} {
			v.set(func(d *Demand) { d.Scale = scale })
			move(r.screen, time.Second)
			units := v.pictures(0)
			if got, want := units[len(units)-1].Width, int(640*scale); got != want {
				t.Errorf("%d pixels wide; want %d", got, want)
			}
			if got := r.encodings.list[0].Status().Encoder; got != "device" {
				t.Errorf("encoder %q; want the device", got)
			}
		}
		r.close(t)
	})
}

// After its ban a device is opened while the encoder in its place encodes, whether that works or not.
func TestDeviceReturnsWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		device := slowDevice(0, func(int) error {
			if broken.Load() {
				return errTest
			}
			return nil
		})
		software := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "software"}})
		r := openRig(t, 60, device, software)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		move(r.screen, time.Second)
		broken.Store(true)
		move(r.screen, time.Second)
		broken.Store(false)
		device.fails.Store(true)
		for _, c := range []struct {
			ban  time.Duration
			want string
		}{{firstBan, "software"}, {2 * firstBan, "device"}} {
			time.Sleep(c.ban - 2*time.Second) // of a still picture
			before, _ := v.got()
			move(r.screen, 4*time.Second)
			if got := r.encodings.list[0].Status().Encoder; got != c.want {
				t.Errorf("encoder %q after a ban; want %s", got, c.want)
			}
			if pause := v.longestPause(before + 1); pause > 2*time.Second/60 {
				t.Errorf("%v between two pictures; want two frame times at most", pause)
			}
			device.fails.Store(false)
		}
		r.close(t)
		if s := device.Stats(); s.Opened != s.Closed {
			t.Errorf("%d encoders are left open", s.Opened-s.Closed)
		}
	})
}
