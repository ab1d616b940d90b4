package desktop

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// OnDemand is a virtual display that a daemon uses only while something holds it: a viewer or a reservation. The first
// hold starts the display. After the last hold it continues for Config.Keep, for viewers that come back.
type OnDemand struct {
	cfg Config
	log *slog.Logger

	mu     sync.Mutex
	closed bool
	holds  int
	at     *Attachment // nil without holds
	leave  context.CancelFunc
	// attaching is closed when an attempt to attach has ended; nil without one.
	attaching chan struct{}
	// ends is when the display ends that nothing holds, as far as this daemon knows. Zero means that it does not run.
	ends    time.Time
	address string         // its last address; empty if unknown
	wg      sync.WaitGroup // added to under mu while not closed
}

// farFuture is the end of a display that is kept without a limit.
var farFuture = time.Unix(1<<40, 0)

// NewOnDemand returns a display that nothing holds. The caller must Close it.
func NewOnDemand(cfg Config, log *slog.Logger) *OnDemand { return &OnDemand{cfg: cfg, log: log} }

// Found notes that the display runs already: a former daemon has started it.
func (o *OnDemand) Found(s Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.address = s.Display
	o.keepFor()
}

// Hold makes the display run until release is called, which never blocks. With fresh, a display that runs although
// nothing holds it is started anew, so that nothing is left of what was done on it.
func (o *OnDemand) Hold(ctx context.Context, fresh bool) (release func(), err error) {
	for {
		o.mu.Lock()
		switch {
		case o.closed:
			o.mu.Unlock()
			return nil, context.Canceled
		case o.at != nil:
			o.holds++
			o.mu.Unlock()
			return sync.OnceFunc(o.release), nil
		case o.attaching == nil:
			done := make(chan struct{})
			o.attaching = done
			o.mu.Unlock()
			err := o.attach(ctx, fresh)
			o.mu.Lock()
			o.attaching = nil
			close(done)
			o.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return sync.OnceFunc(o.release), nil
		}
		wait := o.attaching
		o.mu.Unlock()
		select {
		case <-wait: // it may have failed because its caller gave up
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// attach attaches to the display for a first hold.
func (o *OnDemand) attach(ctx context.Context, fresh bool) error {
	attach := Attach
	if fresh {
		attach = attachFresh
	}
	at, err := attach(ctx, o.cfg, o.log)
	if errors.Is(err, errInUse) {
		o.inUse()
	}
	if err != nil {
		return err
	}
	return o.use(at) //nolint:contextcheck // it outlives the request that begins it
}

// inUseFor is the time for which a display of another daemon counts as kept. A daemon that is replaced leaves its
// displays to viewers that have not moved yet.
const inUseFor = time.Minute

// inUse notes that another daemon uses the display: others of its group come first.
func (o *OnDemand) inUse() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ends = time.Now().Add(inUseFor)
}

// use begins the use of a display, with one hold.
func (o *OnDemand) use(at *Attachment) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		_ = at.Close()
		return context.Canceled
	}
	o.at, o.holds, o.address = at, 1, at.Address()
	using, leave := context.WithCancel(context.Background())
	o.leave = leave
	o.wg.Go(func() { // unguarded: it waits for the supervisor
		_ = at.Run(using) // it returns the error of using
		_ = at.Close()
	})
	return nil
}

// release ends a hold.
func (o *OnDemand) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.holds--; o.holds == 0 {
		o.detach()
	}
}

// detach ends the use of the display. The caller holds mu.
func (o *OnDemand) detach() {
	o.leave()
	o.address, o.at = o.at.Address(), nil
	o.keepFor()
}

// keepFor notes that the display runs without holds from now on. The caller holds mu.
func (o *OnDemand) keepFor() {
	o.ends = farFuture
	if o.cfg.Keep >= 0 {
		o.ends = time.Now().Add(o.cfg.Keep)
	}
}

// Kept reports whether the display may run although nothing holds it.
func (o *OnDemand) Kept() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at == nil && time.Now().Before(o.ends)
}

// Address returns the address of the display, such as ":91", and the path of its authority file. The path is empty if
// nothing holds the display. The address is empty if it is unknown or the display does not run.
func (o *OnDemand) Address() (address, authority string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.at != nil:
		return o.at.Address(), o.at.Authority()
	case time.Now().Before(o.ends):
		return o.address, ""
	}
	return "", ""
}

// Close ends the use of the display, and waits for that. The display continues, according to Config.Keep.
func (o *OnDemand) Close() error {
	o.mu.Lock()
	o.closed = true
	if o.at != nil {
		o.holds = 0
		o.detach()
	}
	o.mu.Unlock()
	o.wg.Wait()
	return nil
}
