package session

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
		th := openTheater(t, Config{}, encodetest.New(encodetest.Config{QP: coarse}))
		v := newSpectator()
		th.rungs[0].join(v)
		time.Sleep(time.Second)
		for phase := range 40 {
			time.Sleep(200*time.Millisecond + time.Duration(phase)*500*time.Microsecond)
			before, _ := v.got()
			if last := v.sentAt(before - 1); time.Since(last) > 20*time.Millisecond {
				t.Fatalf("nothing was refined for %v; want a refinement under way", time.Since(last))
			}
			th.screen.touch(spot)
			synctest.Wait()
			if n, _ := v.got(); n != before+1 || v.dirtyAt(before) == 0 {
				t.Errorf("a change %v after the last repetition is not encoded at once", time.Since(v.sentAt(before-1)))
			}
		}
		th.close(t)
	})
}

func TestContentOf24FramesIsNotRefinedInBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{QP: coarse})
		th := openTheater(t, Config{}, enc)
		v := newSpectator()
		th.rungs[0].join(v)
		th.screen.touch(spot)
		time.Sleep(50 * time.Millisecond)
		before := enc.Stats().Repeats
		for range 48 {
			th.screen.touch(spot)
			time.Sleep(time.Second / 24)
		}
		if n := enc.Stats().Repeats - before; n > 0 {
			t.Errorf("%d repetitions between the frames of two seconds of film; want none", n)
		}
		th.close(t)
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
				th := openTheater(t, Config{}, enc)
				v := newSpectator()
				th.rungs[0].join(v)
				time.Sleep(test.most)
				before := enc.Stats().Pictures
				time.Sleep(10 * time.Second)
				if n := enc.Stats().Pictures - before; n < 9 || n > 11 {
					t.Errorf("%d pictures in 10 s after %v; want a keep-alive each second", n, test.most)
				}
				th.close(t)
			})
		})
	}
}

func TestNewcomerToASharpPictureGetsItSharp(t *testing.T) {
	for _, codec := range encode.Codecs() {
		t.Run(codec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				enc := encodetest.New(encodetest.Config{Profile: encode.Profile{Codec: codec}})
				th := openTheater(t, Config{}, enc)
				a, b := newSpectator(), newSpectator()
				on := th.rungsOf(codec)[0]
				on.join(a)
				time.Sleep(5 * time.Second)
				on.join(b)
				time.Sleep(time.Second / 3)
				units := b.pictures(0)
				i := slices.IndexFunc(units, func(au encode.AccessUnit) bool { return au.QP <= sharpQP(codec) })
				if i < 0 || !units[0].Key {
					t.Errorf("the newcomer got %d pictures, and none that is sharp", len(units))
				}
				b.decodable(t)
				th.close(t)
			})
		})
	}
}

// A viewer without room holds no more up than others see.
func TestViewerWithoutRoomDelaysTheRefinementOfOthersBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := openTheater(t, Config{}, encodetest.New(encodetest.Config{QP: coarse}))
		quick, slow := newSpectator(), newSpectator()
		th.rungs[0].join(quick)
		th.rungs[0].join(slow)
		time.Sleep(time.Second)
		slow.set(func(a *ask) { a.ready = false })
		before, _ := quick.got()
		time.Sleep(time.Second)
		if n, _ := quick.got(); n-before < 20 {
			t.Errorf("%d pictures in a second beside a viewer without room; want them to go on after %v", n-before, stillPatience)
		}
		th.close(t)
	})
}
