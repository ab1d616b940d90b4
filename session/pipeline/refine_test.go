package pipeline

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// coarse is the quantizer of an encoder that never gets a picture sharp.
func coarse(int) float64 { return 40 }

func TestChangeDuringRefinementIsNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60, encodetest.New(encodetest.Config{QP: coarse}))
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		for phase := range 40 {
			time.Sleep(200*time.Millisecond + time.Duration(phase)*500*time.Microsecond)
			before, _ := v.got()
			if last := v.sentAt(before - 1); time.Since(last) > 20*time.Millisecond {
				t.Fatalf("nothing was refined for %v; want a refinement under way", time.Since(last))
			}
			r.screen.Touch(spot)
			synctest.Wait()
			if n, _ := v.got(); n != before+1 || v.dirtyAt(before) == 0 {
				t.Errorf("a change %v after the last repetition is not encoded at once", time.Since(v.sentAt(before-1)))
			}
		}
		r.close(t)
	})
}

func TestContentOf24FramesIsNotRefinedInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{QP: coarse})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		r.screen.Touch(spot)
		time.Sleep(50 * time.Millisecond)
		before := enc.Stats().Repeats
		for range 48 {
			r.screen.Touch(spot)
			time.Sleep(time.Second / 24)
		}
		if n := enc.Stats().Repeats - before; n > 0 {
			t.Errorf("%d repetitions between the frames of two seconds of film; want none", n)
		}
		r.close(t)
	})
}

// The next slide, page or letter is refined at once. Motion is refined once it stands still.
func TestChangeOfAStillPictureIsRefinedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60, encodetest.New(encodetest.Config{QP: coarse}))
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		const watched = 100 * time.Millisecond
		for _, c := range []struct{ still, refined time.Duration }{
			{400 * time.Millisecond, 17 * time.Millisecond},
			{200 * time.Millisecond, 50 * time.Millisecond},
			{290 * time.Millisecond, 50 * time.Millisecond},
			{310 * time.Millisecond, 17 * time.Millisecond},
		} {
			time.Sleep(c.still - watched)
			n, _ := v.got()
			r.screen.Touch(spot)
			time.Sleep(watched)
			if v.dirtyAt(n) == 0 {
				t.Fatal("the next picture is not the changed one")
			}
			if wait := v.sentAt(n + 1).Sub(v.sentAt(n)); wait < c.refined-time.Millisecond || wait > c.refined+time.Millisecond {
				t.Errorf("after %v without a change: refined after %v; want %v", c.still, wait, c.refined)
			}
		}
		r.close(t)
	})
}

func TestRefinementEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		qp   func(int) float64
		most time.Duration
	}{
		{"when the picture is sharp", nil, 200 * time.Millisecond},
		{"when it does not get sharp", coarse, refineMost + time.Second},
		// 640x480 at 2 Mbit/s: the bits of refineBits take 0.6 s.
		{"when the encoder does not say how sharp it is", func(int) float64 { return 0 }, 700 * time.Millisecond},
		{"not by one sharp picture", func(n int) float64 { return []float64{10, 40}[n%2] }, refineMost + time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enc := encodetest.New(encodetest.Config{QP: test.qp})
				r := openRig(t, 60, enc)
				v := newFakeViewer()
				r.encodings.list[0].Subscribe(v)
				time.Sleep(test.most)
				before := enc.Stats().Pictures
				time.Sleep(10 * time.Second)
				if n := enc.Stats().Pictures - before; n < 9 || n > 11 {
					t.Errorf("%d pictures in 10 s after %v; want a keep-alive each second", n, test.most)
				}
				r.close(t)
			})
		})
	}
}

// An encoder that makes no picture as fine as the bound would be asked for more until refineMost.
func TestEncodersGetSharp(t *testing.T) {
	for _, p := range encode.Profiles() {
		if qp := p.Format.QP(float64(p.Finest)); qp >= sharpQP {
			t.Errorf("%s makes nothing finer than %v; want less than %v", p.Name, qp, sharpQP)
		}
	}
}

func TestNewcomerToASharpPictureGetsItSharp(t *testing.T) {
	for _, format := range encode.Formats() {
		t.Run(format.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Format: format}})
				r := openRig(t, 60, enc)
				a, b := newFakeViewer(), newFakeViewer()
				on := r.encodings.of(format)[0]
				on.Subscribe(a)
				time.Sleep(5 * time.Second)
				on.Subscribe(b)
				time.Sleep(time.Second / 3)
				units := b.pictures(0)
				i := slices.IndexFunc(units, func(au encode.AccessUnit) bool { return au.QP <= sharpQP })
				if i < 0 || !units[0].Key {
					t.Errorf("the newcomer got %d pictures, and none that is sharp", len(units))
				}
				b.decodable(t)
				r.close(t)
			})
		})
	}
}

// A viewer without room holds no more up than others see.
func TestViewerWithoutRoomDelaysTheRefinementOfOthersBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60, encodetest.New(encodetest.Config{QP: coarse}))
		quick, slow := newFakeViewer(), newFakeViewer()
		r.encodings.list[0].Subscribe(quick)
		r.encodings.list[0].Subscribe(slow)
		time.Sleep(time.Second)
		slow.set(func(a *Demand) { a.Ready = false })
		before, _ := quick.got()
		time.Sleep(time.Second)
		if n, _ := quick.got(); n-before < 20 {
			t.Errorf("%d pictures in a second beside a viewer without room; want them to go on after %v",
				n-before, stillPatience)
		}
		r.close(t)
	})
}

// firstShares returns how many pictures' bits a viewer's first picture has.
func firstShares(v *fakeViewer, share int) float64 {
	return 8 * float64(len(v.pictures(0)[0].Data)) / float64(share)
}

func TestFirstPictureHasSeveralShares(t *testing.T) {
	const share = 2_000_000 / 60
	for _, c := range []struct {
		name  string
		price encode.Price
		join  func(*rig, *fakeViewer)
		want  float64
	}{
		{"of an empty display", encode.PriceFree, func(*rig, *fakeViewer) {}, 6},
		{"of an encoder whose changes have a price", encode.PriceKeyframe, func(*rig, *fakeViewer) {}, 1},
		{"beside others who see a still picture", encode.PriceFree, func(r *rig, _ *fakeViewer) {
			r.encodings.list[0].Subscribe(newFakeViewer())
			time.Sleep(5 * time.Second)
		}, 6},
		{"beside others who see motion", encode.PriceFree, func(r *rig, _ *fakeViewer) {
			r.encodings.list[0].Subscribe(newFakeViewer())
			move(r.screen, time.Second)
		}, 1},
		{"of a viewer from another encoding", encode.PriceFree, func(_ *rig, v *fakeViewer) {
			v.set(func(a *Demand) { a.Arriving = true })
		}, 1},
		{"of a viewer from another codec", encode.PriceFree, func(_ *rig, v *fakeViewer) {
			v.set(func(a *Demand) { a.Arriving, a.Recoding = true, true })
		}, 6},
		{"at a low frame rate", encode.PriceFree, func(_ *rig, v *fakeViewer) {
			v.set(func(a *Demand) { a.FPS = 6 })
		}, 10}, // the share of a picture is as large
		{"at a high rate", encode.PriceFree, func(_ *rig, v *fakeViewer) {
			v.set(func(a *Demand) { a.BitsPerSecond = 8_000_000 })
		}, 8}, // two of its own: a bit for each of 640x480 pixels is 2.3
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := openRig(t, 60, encodetest.New(encodetest.Config{Profile: encode.Profile{Price: c.price}}))
				v := newFakeViewer()
				c.join(r, v)
				r.encodings.list[0].Subscribe(v)
				time.Sleep(400 * time.Millisecond)
				if got := firstShares(v, share); got < c.want*0.95 || got > c.want*1.05 {
					t.Errorf("the first picture has %.2f shares; want %.1f", got, c.want)
				}
				if au := v.pictures(0)[1]; au.Key || len(au.Data)*8 > 10*share {
					t.Errorf("the second picture has %d bytes, keyframe %v", len(au.Data), au.Key)
				}
				r.close(t)
			})
		})
	}
}

// A keyframe that a viewer asks for is no larger than other pictures: it has just lost packets.
func TestKeyframeOnRequestIsNotEnlarged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60, encodetest.New(encodetest.Config{}))
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(5 * time.Second)
		v.set(func(a *Demand) { a.Keyframe = true })
		r.encodings.list[0].Nudge()
		time.Sleep(100 * time.Millisecond)
		v.set(func(a *Demand) { a.Keyframe = false })
		units := v.pictures(1)
		i := slices.IndexFunc(units, func(au encode.AccessUnit) bool { return au.Key })
		if i < 0 || len(units[i].Data)*8 > 2_000_000/60*11/10 {
			t.Errorf("keyframe on request at %d of %d, want one of a picture's share", i, len(units))
		}
		r.close(t)
	})
}
