package input

import (
	"context"
	"fmt"
	"time"
)

// Run delivers input until ctx ends. It then releases what is held, and returns nil. It reconnects to a lost server,
// and first sends the releases that the server missed.
func (j *Injector) Run(ctx context.Context) error {
	for {
		err := j.serve(ctx, &j.held)
		if ctx.Err() == nil {
			j.fail(err)
			wait := time.NewTimer(j.cfg.Retry)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
		}
		if ctx.Err() != nil {
			j.last(ctx, &j.held)
			return nil //nolint:nilerr // it was asked to end
		}
	}
}

// last is the last attempt to leave nothing pressed.
func (j *Injector) last(ctx context.Context, held *held) {
	if len(held.list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	s, end, err := j.connect(ctx)
	if err == nil {
		defer end()
		err = j.releaseAll(ctx, s, held)
	}
	if err != nil {
		j.log.Warn("keys may stay pressed", "display", j.cfg.Display, "held", len(held.list), "err", err)
	}
}

// fail records that the display is out of reach. Waiting input is lost, and what is pressed will be released.
func (j *Injector) fail(err error) {
	if n := j.queue.stop(); n > 0 {
		j.met.lose(n, lostUnavailable)
	}
	j.set(err)
}

// set records why no input reaches the display at present. It is nil when input does.
func (j *Injector) set(err error) {
	j.mu.Lock()
	before := j.err
	j.err = err
	j.mu.Unlock()
	switch {
	case err == nil && before != nil:
		j.log.Info("display accepts input again", "display", j.cfg.Display)
	case err != nil && (before == nil || before.Error() != err.Error()):
		j.log.Warn("display accepts no input", "display", j.cfg.Display, "err", err)
	}
}

// endTimeout bounds the wait for the server's answer once the Injector ends.
const endTimeout = 2 * time.Second

// connect opens the display. The caller must call the returned function to close it. When ctx ends, a wait for events
// ends, and after endTimeout the connection.
func (j *Injector) connect(ctx context.Context) (_ Device, end func(), err error) {
	d, err := j.cfg.Open(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("input: open display %s: %w", j.cfg.Display, err)
	}
	limit := time.AfterFunc(endTimeout, d.close)
	limit.Stop()
	stop := context.AfterFunc(ctx, func() {
		d.wake()
		limit.Reset(endTimeout)
	})
	j.wakeable(d)
	return d, func() {
		stop()
		limit.Stop()
		j.wakeable(nil)
		d.close()
	}, nil
}

// wakeable sets the device that new commands wake.
func (j *Injector) wakeable(d Device) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.device = d
}

// serve works off the queue until ctx ends or the display is lost. held is what the display has pressed.
func (j *Injector) serve(ctx context.Context, held *held) error {
	d, end, err := j.connect(ctx)
	if err != nil {
		return err
	}
	defer end()
	begun := context.WithoutCancel(ctx) // what was begun is finished
	if err := j.releaseAll(begun, d, held); err != nil {
		return err
	}
	if err := d.arrange(begun); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	j.set(nil)
	j.queue.start()
	for {
		if ctx.Err() != nil {
			return j.releaseAll(begun, d, held)
		}
		batch := j.queue.take()
		if len(batch) == 0 {
			if err := d.wait(); err != nil {
				return fmt.Errorf("input: the display is lost: %w", err)
			}
			continue
		}
		told := make(chan struct{})
		slow := time.AfterFunc(slowAfter, func() {
			defer close(told)
			j.set(errSlow)
		})
		err := j.do(begun, d, held, batch)
		if !slow.Stop() {
			<-told
			if err == nil {
				j.set(nil)
			}
		}
		if err != nil {
			j.met.lose(len(batch), lostUnavailable)
			return err
		}
		if n := d.refused(); n > 0 {
			j.met.lose(n, lostRefused)
		}
		j.met.delay.Observe(time.Since(batch[0].at).Seconds())
	}
}

// do has the display execute the commands, where it is at present.
func (j *Injector) do(ctx context.Context, d Device, held *held, batch []command) error {
	if err := d.arrange(ctx); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	return j.execute(ctx, d, held, batch)
}

// execute is do without positions.
func (j *Injector) execute(ctx context.Context, d Device, held *held, batch []command) error {
	held.begin()
	err := j.apply(ctx, d, held, batch)
	if err == nil {
		err = d.sync(ctx)
	}
	if err != nil {
		held.doubt()
		return fmt.Errorf("input: the display is lost: %w", err)
	}
	return nil
}

// apply queues the commands.
func (j *Injector) apply(ctx context.Context, d Device, held *held, batch []command) error {
	for _, c := range batch {
		p := press{c.kind, c.code}
		switch {
		case c.kind == move:
			d.move(c.x, c.y)
		case c.kind == motion:
			if err := d.motion(ctx, c.x, c.y); err != nil {
				return err
			}
		case c.kind == scroll:
			if err := d.scroll(ctx, c.x, c.y); err != nil {
				return err
			}
		case c.kind == typing:
			if err := d.text(ctx, c.text); err != nil {
				return err
			}
		case c.kind == release:
			d.forget()
			for _, h := range held.drop() {
				d.release(h.kind, h.number)
				j.met.released.Inc()
			}
		case c.pressed:
			number, err := d.press(ctx, c)
			if err != nil {
				return err
			}
			held.add(p, number)
		default:
			if number, ok := held.remove(p); ok {
				d.release(c.kind, number)
			}
		}
	}
	return nil
}

// releaseAll releases what is held.
func (j *Injector) releaseAll(ctx context.Context, d Device, held *held) error {
	if len(held.list) == 0 {
		return nil
	}
	return j.execute(ctx, d, held, []command{{kind: release}})
}
