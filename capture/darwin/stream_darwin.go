package darwin

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ebitengine/purego/objc"

	"wavryhost/capture"
)

var errUnlisted = fmt.Errorf("%w: ScreenCaptureKit does not list it; does it sleep?", capture.ErrNotFound)

// stopTime is the limit for the end of a stream.
const stopTime = 2 * time.Second

// scStream is an SCStream.
type scStream struct {
	m       *macOS
	id      objc.ID
	params  params
	deliver func(sample)
	stopped func(error)
}

// didOutput is stream:didOutputSampleBuffer:ofType: of the delegate (SCStreamOutput).
func (m *macOS) didOutput(_ objc.ID, _ objc.SEL, id objc.ID, ref unsafe.Pointer, kind int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.streams[id]; s != nil && kind == outScreen {
		m.pooled(func() { s.deliver(m.read(uintptr(ref))) })
	}
}

// didStop is stream:didStopWithError: of the delegate (SCStreamDelegate).
func (m *macOS) didStop(_ objc.ID, _ objc.SEL, id, e objc.ID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.streams[id]; s != nil {
		m.pooled(func() { s.stopped(m.failure(e)) })
	}
}

// failure returns an NSError as an error with its reason, or nil.
func (m *macOS) failure(e objc.ID) error {
	if e == 0 {
		return nil
	}
	return systemError{
		domain: m.text(uintptr(e.Send(objc.RegisterName("domain")))),
		text:   m.text(uintptr(e.Send(objc.RegisterName("localizedDescription")))),
		code:   objc.Send[int](e, objc.RegisterName("code")),
	}.reasoned()
}

func (m *macOS) free(id objc.ID) { id.Send(objc.RegisterName("release")) }

// start implements system.
func (m *macOS) start(
	ctx context.Context, p params, deliver func(sample), stopped func(error),
) (stream, error) {
	filter, err := m.filterFor(ctx, p.display)
	if err != nil {
		return nil, err
	}
	s := &scStream{m: m, params: p, deliver: deliver, stopped: stopped}
	m.pooled(func() {
		config := s.configuration()
		// The stream retains both.
		s.id = objc.ID(m.stream).Send(objc.RegisterName("alloc")).
			Send(objc.RegisterName("initWithFilter:configuration:delegate:"), filter, config, m.delegate)
		m.free(filter)
		m.free(config)
		if s.id == 0 {
			err = fmt.Errorf("%w: macOS makes no SCStream", capture.ErrUnsupported)
			return
		}
		m.mu.Lock()
		m.streams[s.id] = s
		m.mu.Unlock()
		var e objc.ID // autoreleased
		if !objc.Send[bool](s.id, objc.RegisterName("addStreamOutput:type:sampleHandlerQueue:error:"), m.delegate,
			outScreen, m.queue, unsafe.Pointer(&e)) {
			if err = m.failure(e); err == nil {
				err = errors.New("macOS accepts no output for its stream")
			}
		}
	})
	if err == nil {
		err = m.complete(ctx, func(handler objc.Block) {
			s.id.Send(objc.RegisterName("startCaptureWithCompletionHandler:"), handler)
		})
	}
	if err != nil {
		if s.id != 0 {
			s.close() //nolint:contextcheck // it has its own limit
		}
		return nil, err
	}
	return s, nil
}

// filterFor returns the filter for a whole display. The caller must free it.
func (m *macOS) filterFor(ctx context.Context, display uint32) (objc.ID, error) {
	type answer struct {
		filter objc.ID
		err    error
	}
	answers := make(chan answer, 1)
	var over atomic.Bool // set by the first of the answer and the end of ctx
	block := objc.NewBlock(func(_ objc.Block, content, e objc.ID) {
		var a answer
		m.pooled(func() { a.filter, a.err = m.filterIn(content, display, e) })
		if over.CompareAndSwap(false, true) {
			answers <- a
		} else if a.filter != 0 {
			m.free(a.filter)
		}
	})
	m.pooled(func() {
		objc.ID(m.shareable).Send(objc.RegisterName(
			"getShareableContentExcludingDesktopWindows:onScreenWindowsOnly:completionHandler:"), true, true, block)
	})
	// macOS has copied the block, and frees it after the call. This ends the own hold of it.
	block.Release()
	select {
	case a := <-answers:
		return a.filter, a.err
	case <-ctx.Done():
		if over.CompareAndSwap(false, true) {
			return 0, fmt.Errorf("%w: ScreenCaptureKit does not list the displays", ctx.Err())
		}
		a := <-answers
		return a.filter, a.err
	}
}

// filterIn finds a display in an SCShareableContent, which belongs to the caller of the completion handler.
func (m *macOS) filterIn(content objc.ID, display uint32, e objc.ID) (objc.ID, error) {
	if err := m.failure(e); err != nil {
		return 0, err
	}
	list := uintptr(content.Send(objc.RegisterName("displays"))) // an NSArray is a CFArray
	if list == 0 {
		return 0, errUnlisted
	}
	for i := range m.arrayCount(list) {
		one := objc.ID(m.arrayGet(list, i))
		if objc.Send[uint32](one, objc.RegisterName("displayID")) == display {
			none := objc.ID(m.array).Send(objc.RegisterName("array"))
			return objc.ID(m.filter).Send(objc.RegisterName("alloc")).
				Send(objc.RegisterName("initWithDisplay:excludingWindows:"), one, none), nil
		}
	}
	return 0, errUnlisted
}

// configuration returns an SCStreamConfiguration. The caller must free it.
func (s *scStream) configuration() objc.ID {
	c := objc.ID(s.m.configuration).Send(objc.RegisterName("new"))
	set := func(property string, value any) { c.Send(objc.RegisterName(property), value) }
	set("setWidth:", uint(s.params.size.X))
	set("setHeight:", uint(s.params.size.Y))
	set("setQueueDepth:", queueDepth)
	set("setShowsCursor:", s.params.cursor)
	set("setColorSpaceName:", s.m.sRGB) // viewers take pictures for sRGB; displays have other spaces
	if s.params.nv12 {
		set("setPixelFormat:", uint32(formatNV12))
		set("setColorMatrix:", s.m.matrix601) // that of the encoders
	} else {
		set("setPixelFormat:", uint32(formatBGRA))
	}
	if s.params.fps > 0 {
		set("setMinimumFrameInterval:", cmTime{value: 1, timescale: int32(s.params.fps), flags: timeValid})
	}
	return c
}

// complete calls a method that has a completion handler with an error, and waits for the call of that.
func (m *macOS) complete(ctx context.Context, call func(handler objc.Block)) error {
	done := make(chan error, 1) // one result, never blocks
	block := objc.NewBlock(func(_ objc.Block, e objc.ID) { m.pooled(func() { done <- m.failure(e) }) })
	m.pooled(func() { call(block) })
	block.Release() // as above
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: ScreenCaptureKit does not answer", ctx.Err())
	}
}

// resize implements stream. A failure ends the stream.
func (s *scStream) resize(size image.Point) {
	s.params.size = size
	block := objc.NewBlock(func(_ objc.Block, e objc.ID) {
		s.m.mu.RLock()
		defer s.m.mu.RUnlock()
		if e != 0 && s.m.streams[s.id] == s {
			s.m.pooled(func() { s.stopped(fmt.Errorf("change the size to %v: %w", size, s.m.failure(e))) })
		}
	})
	s.m.pooled(func() {
		config := s.configuration()
		s.id.Send(objc.RegisterName("updateConfiguration:completionHandler:"), config, block)
		s.m.free(config)
	})
	block.Release() // as above
}

// close implements stream. It waits for calls that are under way, and then for the end of the stream.
func (s *scStream) close() {
	s.m.mu.Lock()
	delete(s.m.streams, s.id)
	s.m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	// A stream that macOS has ended returns an error, and a stream that hangs is left to macOS.
	_ = s.m.complete(ctx, func(handler objc.Block) {
		s.id.Send(objc.RegisterName("stopCaptureWithCompletionHandler:"), handler)
	})
	s.m.pooled(func() { s.m.free(s.id) })
}
