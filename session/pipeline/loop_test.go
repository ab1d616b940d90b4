package pipeline

import (
	"image"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestFrameRateFollowsTheLeastOfTheViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		a, b := newFakeViewer(), newFakeViewer()
		b.demand.FPS, b.demand.BitsPerSecond = 10, 500_000
		r.encodings.list[0].Subscribe(a)
		r.encodings.list[0].Subscribe(b)
		time.Sleep(time.Second)
		before, _ := a.got()
		move(r.screen, time.Second)
		if n, _ := a.got(); n-before < 9 || n-before > 12 {
			t.Errorf("got %d pictures in a second; want 10", n-before)
		}
		rates := enc.Stats().Rates
		if got, want := rates[len(rates)-1], (encode.Rate{BitsPerSecond: 500_000, FPS: 10}); got != want {
			t.Errorf("encoder was told %+v; want %+v", got, want)
		}
		if got := a.last(); got.BitsPerSecond != 500_000 || got.FPS != 10 {
			t.Errorf("the viewer was told %+v; want what was applied", got)
		}
		r.encodings.list[0].Unsubscribe(b)
		time.Sleep(100 * time.Millisecond)
		move(r.screen, time.Second)
		rates = enc.Stats().Rates
		if got, want := rates[len(rates)-1], (encode.Rate{BitsPerSecond: 2_000_000, FPS: 60}); got != want {
			t.Errorf("after the slow one left the encoder was told %+v; want %+v", got, want)
		}
		r.close(t)
	})
}

func TestEncoderThatIsBehindDropsFramesAndKeepsTheirDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{OnEncode: func(n int) error {
			if n > 1 {
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		}})
		r := openRig(t, 60, enc)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(2 * time.Second)
		captured, got := r.count(frameCaptured), len(v.pictures(0))
		// Ten changes in ten places while the encoder works on the first.
		for i := range 10 {
			r.screen.Touch(image.Rect(i*64, 0, i*64+64, 48))
			time.Sleep(17 * time.Millisecond)
		}
		time.Sleep(400 * time.Millisecond)
		captured = r.count(frameCaptured) - captured
		if r.dropped(DropBusy) == 0 || r.dropped(DropCongested) != 0 {
			t.Errorf("dropped %d busy, %d congested; want some and none",
				r.dropped(DropBusy), r.dropped(DropCongested))
		}
		v.mu.Lock()
		sum, frames := 0.0, 0
		for _, d := range v.dirty[got:] {
			sum += d
			if d > 0 {
				frames++
			}
		}
		v.mu.Unlock()
		if frames+r.dropped(DropBusy) != captured {
			t.Errorf("%d captured, %d encoded, %d dropped: some are not counted",
				captured, frames, r.dropped(DropBusy))
		}
		if want := 10 * 64 * 48 / 640.0 / 480.0; sum < want*.999 || sum > want*1.001 {
			t.Errorf("damage of %.3f of the picture reached the encoder; want %.3f", sum, want)
		}
		r.close(t)
	})
}

func TestOneViewerWithoutRoomHoldsTheNewestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(2 * time.Second)
		before, keys := v.got()
		v.set(func(a *Demand) { a.Ready = false })
		move(r.screen, 2*time.Second)
		if n, _ := v.got(); n > before {
			t.Errorf("%d pictures were encoded for a viewer without room", n-before)
		}
		if n := r.dropped(DropCongested); n < 5 || n > 40 {
			t.Errorf("dropped %d congested frames in 2 s; want about 10 a second", n)
		}
		v.set(func(a *Demand) { a.Ready = true })
		time.Sleep(congestedPoll + time.Millisecond)
		n, k := v.got()
		if n == before {
			t.Fatal("the frame that waited was not sent")
		}
		if k != keys {
			t.Error("a keyframe was made though no picture was missed")
		}
		age := v.sentAt(before).Sub(v.pictures(before)[0].Time)
		if age > slowCapture+congestedPoll+10*time.Millisecond {
			t.Errorf("the frame that waited is %v old; want a fresh one", age)
		}
		r.close(t)
	})
}

func TestSlowViewerDegradesItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		quick, slow := newFakeViewer(), newFakeViewer()
		slow.demand.BitsPerSecond = 300_000
		r.encodings.list[0].Subscribe(quick)
		r.encodings.list[0].Subscribe(slow)
		time.Sleep(2 * time.Second)
		slow.set(func(a *Demand) { a.Ready = false })
		before, keys := quick.got()
		n0, _ := slow.got()
		move(r.screen, 4*time.Second)
		n, k := quick.got()
		if n-before < 225 {
			t.Errorf("the quick viewer got %d pictures in 4 s; want 60 a second but for the wait of %v",
				n-before, patience)
		}
		if k != keys {
			t.Errorf("the quick viewer got %d keyframes; want none", k-keys)
		}
		if n1, _ := slow.got(); n1 != n0 {
			t.Errorf("the slow viewer got %d pictures without having room", n1-n0)
		}
		if missed := slow.misses(); r.dropped(DropSlowViewer) != 1 || missed < 200 {
			t.Errorf("counted %d misses of the slow viewer, %d drops; want all and the first",
				missed, r.dropped(DropSlowViewer))
		}
		rates := enc.Stats().Rates
		if got := rates[len(rates)-1].BitsPerSecond; got != 2_000_000 {
			t.Errorf("rate %d while the slow viewer is left out; want the quick one's", got)
		}

		slow.set(func(a *Demand) { a.Ready = true })
		move(r.screen, time.Second)
		n1, _ := slow.got()
		if n1 == n0 || !slow.pictures(n0)[0].Key {
			t.Fatalf("the slow viewer is not let back in with a keyframe: %d pictures", n1-n0)
		}
		if _, k := quick.got(); k != keys+1 {
			t.Errorf("letting it back in cost the quick viewer %d keyframes; want 1", k-keys)
		}
		if needs := slow.asked(); !slices.Contains(needs, adapt.KeyframeRecovery) {
			t.Errorf("the slow viewer's controller was asked for %v; want a recovery", needs)
		}
		r.close(t)
	})
}

func TestViewerThatKeepsFallingBehindCostsFewKeyframes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		quick, flapping := newFakeViewer(), newFakeViewer()
		r.encodings.list[0].Subscribe(quick)
		r.encodings.list[0].Subscribe(flapping)
		time.Sleep(time.Second)
		_, keys := quick.got()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 30 {
				flapping.set(func(a *Demand) { a.Ready = false })
				time.Sleep(500 * time.Millisecond)
				flapping.set(func(a *Demand) { a.Ready = true })
				time.Sleep(500 * time.Millisecond)
			}
		}()
		move(r.screen, 30*time.Second)
		<-done
		// 1, 2, 4, 8 and 16 s: the fifth comes after the end.
		if _, k := quick.got(); k-keys < 3 || k-keys > 5 {
			t.Errorf("the quick viewer got %d keyframes in 30 s; want 3 to 5", k-keys)
		}
		flapping.decodable(t)
		r.close(t)
	})
}

func TestTwoViewersShareOneCaptureAndOneEncode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		r := openRig(t, 60, enc)
		a, b := newFakeViewer(), newFakeViewer()
		r.encodings.list[0].Subscribe(a)
		time.Sleep(time.Second)
		move(r.screen, time.Second)
		before, keys := a.got()
		r.encodings.list[0].Subscribe(b)
		move(r.screen, time.Second)
		n, k := a.got()
		if n-before < 58 {
			t.Errorf("joining cost the first viewer pictures: got %d in a second", n-before)
		}
		if k-keys != 1 {
			t.Errorf("joining made %d keyframes; want 1", k-keys)
		}
		b.decodable(t)
		if nb, _ := b.got(); nb < 58 {
			t.Errorf("the second viewer got %d pictures in a second", nb)
		}
		if s := enc.Stats(); s.Opened != 1 || r.screen.Opened() != 1 || s.Pictures != n {
			t.Errorf("%d encoders, %d captures, %d pictures encoded; want 1, 1 and the first viewer's %d",
				s.Opened, r.screen.Opened(), s.Pictures, n)
		}
		r.encodings.list[0].Unsubscribe(b)
		before = n
		move(r.screen, time.Second)
		if n, k2 := a.got(); n-before < 58 || k2 != k {
			t.Errorf("leaving disturbed the first viewer: %d pictures, %d keyframes in a second", n-before, k2-k)
		}
		r.close(t)
	})
}

func TestKeyframeRequestsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		a, b := newFakeViewer(), newFakeViewer()
		r.encodings.list[0].Subscribe(a)
		r.encodings.list[0].Subscribe(b)
		time.Sleep(2 * time.Second)
		_, before := a.got()
		for range 10 {
			a.set(func(a *Demand) { a.Keyframe = true })
			b.set(func(a *Demand) { a.Keyframe = true })
			r.encodings.list[0].Nudge()
			r.screen.Touch(spot)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if _, k := a.got(); k-before != 2 {
			t.Errorf("20 requests in 0.2 s made %d keyframes; want 2", k-before)
		}
		r.close(t)
	})
}

func TestKeyframeIsMadeOfAStillPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(5*time.Second + 300*time.Millisecond)
		captured := r.count(frameCaptured)
		_, keys := v.got()
		v.set(func(a *Demand) { a.Keyframe = true })
		r.encodings.list[0].Nudge()
		synctest.Wait()
		if _, k := v.got(); k != keys+1 {
			t.Errorf("%d keyframes at once; want 1", k-keys)
		}
		if n := r.count(frameCaptured); n != captured {
			t.Errorf("%d frames were captured for it; want none", n-captured)
		}
		r.close(t)
	})
}

func TestPictureThatCannotBeHandedOverIsFollowedByAKeyframe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, 60)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		time.Sleep(time.Second)
		v.mu.Lock()
		v.fail = errTest
		v.mu.Unlock()
		r.screen.Touch(spot)
		time.Sleep(50 * time.Millisecond)
		v.mu.Lock()
		v.fail = nil
		n := len(v.units)
		v.mu.Unlock()
		move(r.screen, 2*time.Second)
		if units := v.pictures(n); len(units) == 0 || !units[0].Key {
			t.Error("the picture after the one that failed is no keyframe")
		}
		if r.dropped(DropFailed) != 1 {
			t.Errorf("counted %d; want 1", r.dropped(DropFailed))
		}
		r.close(t)
	})
}
