package pipeline

import (
	"context"
	"image"
	"slices"
	"time"

	"wavryhost/session/progress"
)

// emptyLinger is how long the encoder of an encoding without subscribers stays open, so that a reload of the page is
// quick.
const emptyLinger = 5 * time.Second

// run encodes until ctx ends.
func (e *Encoding) run(ctx context.Context) {
	l := newEncodeLoop(e)
	defer l.end()
	steps := e.hooks.progress.Loop(progress.Encode, e.hooks.display)
	defer steps.Close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		var next time.Time
		steps.Step(func() { next = l.turn(ctx, time.Now()) })
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
		case <-e.frames.full:
		case <-e.kick:
		case <-timer.C:
		}
	}
}

// end gives back what the loop holds.
func (l *encodeLoop) end() {
	if l.forCapture.active.Swap(false) {
		l.met.encodings.Dec()
	}
	l.encoder.close(closeTimeout)
	l.encoder.tasks.Wait()
	if f := l.frames.take(); f != nil {
		f.Release()
	}
}

// turn is step. It treats a panic like an error of the encoder.
func (l *encodeLoop) turn(ctx context.Context, now time.Time) (next time.Time) {
	if now.Before(l.restUntil) {
		return l.restUntil
	}
	if err := l.guard.Run(partEncode, func() { next = l.step(ctx, now) }); err != nil {
		l.crashed(now, err)
		return l.restUntil
	}
	return next
}

// step encodes one picture if one is due. It returns when to call it again, or zero for not before something happens.
// The first row that applies decides:
//
//	state                          a frame waits        a keyframe is needed    the picture stands still
//	no subscriber is connected     release it           -                       close the encoder after 5 s
//	all encoders failed            wait for the retry   wait for the retry      wait for the retry
//	under a frame time             wait                 wait                    wait
//	a keyframe under 250 ms ago    encode without key   wait                    -
//	no subscriber is ready         wait 5 ms, 20 ms     wait 5 ms, 20 ms        wait 5 ms, 20 ms
//	a synced one is not ready      wait, 100 ms in all  wait, 100 ms in all     wait, 500 ms in all
//	the encoder has no picture     encode a keyframe    ask for a refresh       ask for a refresh
//	all are ready                  encode               encode it as keyframe   encode again when due
//
// due has the columns, admit the rows from the keyframe on. TestWhenAPictureIsEncoded has the cells.
func (l *encodeLoop) step(ctx context.Context, now time.Time) time.Time {
	subs := l.poll(now)
	if !slices.ContainsFunc(subs, func(s *subscription) bool { return s.now.Live }) {
		return l.park(ctx, subs, now)
	}
	l.activate()
	if now.Before(l.encoder.retryAt) {
		return l.encoder.retryAt
	}
	to := l.targets(subs)
	if l.encoder.open != nil && !l.encoder.decodable(to) { // a repetition would reach a decoder that cannot decode it
		l.encoder.close(closeTimeout)
		l.hasPicture, l.refreshing = false, false
	}
	l.pace(to.fps)
	if l.encoder.misses(now, l.lastFrame, to) {
		l.hooks.refresh()
	}
	interval := time.Second / time.Duration(to.fps)
	waiting := l.frames.waiting()
	if next := l.earliest(waiting, interval); now.Before(next) {
		return next
	}
	if waiting && l.forCapture.cut.Swap(false) {
		l.force = max(l.force, keyStart)
	}
	yes, again, at := l.due(subs, now, interval)
	if !yes {
		l.unblock()
		return at
	}
	key, next := l.admit(subs, now, again != repeatNone)
	if !next.IsZero() {
		return next
	}
	f := l.frames.take()
	switch {
	case f != nil:
		again = repeatNone
		l.refreshing = false
	case !l.hasPicture:
		if !l.refreshing {
			l.refreshing = true
			l.hooks.refresh()
		}
		return time.Time{}
	}
	l.hasPicture = l.encodeNext(ctx, subs, f, now, key, again, to)
	return time.Now()
}

// park does what is left to do while no subscriber is connected. It opens the encoder while the first viewer connects,
// so that the viewer need not wait for it, and closes it some time after the last subscriber left. It returns when to
// close it.
func (l *encodeLoop) park(ctx context.Context, subs []*subscription, now time.Time) (next time.Time) {
	for _, s := range subs {
		s.synced = false
	}
	if l.forCapture.active.Swap(false) {
		l.met.encodings.Dec()
		l.hooks.wake()
	}
	if f := l.frames.take(); f != nil {
		l.encoder.source = image.Pt(f.Width, f.Height)
		f.Release()
		l.met.Drop(DropUnwatched)
	}
	if l.encoder.open == nil && len(subs) > 0 && l.encoder.source.X > 0 && !time.Now().Before(l.encoder.retryAt) {
		l.open(ctx, time.Now(), l.targets(subs))
	}
	if len(subs) > 0 || l.encoder.open == nil {
		l.emptyAt = time.Time{}
		return time.Time{}
	}
	if l.emptyAt.IsZero() {
		l.emptyAt = now
	}
	if closing := l.emptyAt.Add(emptyLinger); now.Before(closing) {
		return closing
	}
	l.encoder.close(closeTimeout)
	l.hasPicture = false
	l.setStatus(func(s *EncodingStatus) { s.Encoder = "" })
	l.log.Info("encoder closed: no subscribers")
	return time.Time{}
}
