package darwin

import (
	"fmt"
	"image"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego/objc"

	"wavryhost/capture"
)

// macOS is the system. There is one in a process, because a class of Objective-C exists once for each process.
type macOS struct {
	*library
	// delegate gets the samples of all streams. It is never freed, so that no late call of macOS can meet a freed
	// object: streams hold their delegates weakly.
	delegate objc.ID
	queue    uintptr // the serial queue on which samples come
	asked    sync.Once

	mu      sync.RWMutex // held for reading while a stream is called
	streams map[objc.ID]*scStream
}

var theSystem = sync.OnceValues(func() (*macOS, error) {
	l, err := load()
	if err != nil {
		return nil, err
	}
	m := &macOS{library: l, streams: make(map[objc.ID]*scStream)}
	var protocols []*objc.Protocol
	for _, name := range []string{"SCStreamOutput", "SCStreamDelegate"} {
		if p := objc.GetProtocol(name); p != nil { // the runtime has only protocols that a library refers to
			protocols = append(protocols, p)
		}
	}
	class, err := objc.RegisterClass("WavryHostStreamOutput", objc.GetClass("NSObject"), protocols, nil, []objc.MethodDef{
		{Cmd: objc.RegisterName("stream:didOutputSampleBuffer:ofType:"), Fn: m.didOutput},
		{Cmd: objc.RegisterName("stream:didStopWithError:"), Fn: m.didStop},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", capture.ErrUnsupported, err)
	}
	m.pooled(func() { m.delegate = objc.ID(class).Send(objc.RegisterName("new")) })
	m.queue = m.queueCreate("wavry-host.capture\x00", 0)
	return m, nil
})

func open() (system, error) {
	m, err := theSystem()
	if err != nil {
		return nil, err
	}
	return m, nil
}

// pooled calls f with an autorelease pool. Objects that a method returns, unless its name begins with alloc, new, copy
// or init, live until the pool of the thread is emptied. Threads of Go have no pool, and without one such objects
// are never freed. The pool belongs to the thread, so f stays on it.
func (m *macOS) pooled(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pool := m.poolPush()
	defer m.poolPop(pool)
	f()
}

// session implements system. A process outside of a graphical session has no dictionary (CGSession.h).
func (m *macOS) session() bool {
	dictionary := m.sessionCopy()
	if dictionary == 0 {
		return false
	}
	m.library.release(dictionary)
	return true
}

func (m *macOS) permitted() bool { return m.preflight() }

func (m *macOS) request() { m.asked.Do(func() { m.library.request() }) }

// displays implements system. Core Graphics lists displays without the permission that ScreenCaptureKit requires, and
// includes sleeping ones. Its first call connects the process to the window server. Without that, ScreenCaptureKit may
// end a program that has no window ("CGS_REQUIRE_INIT").
func (m *macOS) displays() (list []Display) {
	var numbers [maxScreens]uint32
	var count uint32
	if m.displayList(maxScreens, &numbers[0], &count) != 0 {
		return nil
	}
	for _, number := range numbers[:min(count, maxScreens)] {
		id, points, pixels := m.uuid(number), 0, 0
		if mode := m.displayMode(number); mode != 0 {
			points, pixels = int(m.modeWidth(mode)), int(m.modePixels(mode))
			m.library.release(mode)
		}
		if id == "" || points <= 0 || pixels <= 0 || m.displayMirrors(number) != 0 { // a mirror shows another display
			continue
		}
		// The bounds are of the display as it is turned. The mode has the ratio of pixels to points.
		r := m.displayBounds(number)
		area := outer(r.x, r.y, r.width, r.height)
		list = append(list, Display{
			ID: id, Area: area, Size: area.Size().Mul(pixels).Div(points), number: number,
			Builtin: m.displayBuiltin(number) != 0, Main: number == m.displayMain(),
		})
	}
	return list
}

// uuid returns the UUID of a display.
func (m *macOS) uuid(display uint32) string {
	ref := m.displayUUID(display)
	if ref == 0 {
		return ""
	}
	defer m.library.release(ref)
	name := m.uuidString(0, ref)
	defer m.library.release(name)
	return m.text(name)
}

// lock implements system.
func (m *macOS) lock(b capture.PixelBuffer) ([]plane, error) {
	ref := uintptr(b)
	if code := m.bufferLock(ref, readOnly); code != 0 {
		return nil, fmt.Errorf("CVPixelBufferLockBaseAddress returns %d", code)
	}
	n := m.bufferPlanes(ref)
	if n == 0 { // not planar
		return []plane{mapped(m.bufferBase(ref), m.bufferRow(ref), m.bufferHeight(ref))}, nil
	}
	var planes []plane
	for i := range n {
		planes = append(planes, mapped(m.planeBase(ref, i), m.planeRow(ref, i), m.planeHeight(ref, i)))
	}
	return planes, nil
}

func mapped(base unsafe.Pointer, stride, rows uint) plane {
	if base == nil {
		return plane{}
	}
	return plane{unsafe.Slice((*byte)(base), stride*rows), int(stride)}
}

func (m *macOS) unlock(b capture.PixelBuffer) { m.bufferUnlock(uintptr(b), readOnly) }

// hold keeps a pixel buffer from being freed, and its surface from being written to: macOS writes to surfaces that no
// process uses. The sample that it came with belongs to macOS, and ends with the callback.
func (m *macOS) hold(ref uintptr) {
	m.retain(ref)
	if surface := m.bufferSurface(ref); surface != 0 {
		m.surfaceUse(surface)
	}
}

// release implements system. It undoes hold.
func (m *macOS) release(b capture.PixelBuffer) {
	if surface := m.bufferSurface(uintptr(b)); surface != 0 {
		m.surfaceUnuse(surface)
	}
	m.library.release(uintptr(b))
}

// read reads a sample. All that it looks at belongs to the sample.
func (m *macOS) read(ref uintptr) sample {
	s := sample{status: statusIdle}
	list := m.attachments(ref, false)
	if list == 0 || m.arrayCount(list) == 0 {
		return s
	}
	info := m.arrayGet(list, 0)
	s.status = status(m.number(info, m.keyStatus))
	if s.status != statusComplete && s.status != statusStarted {
		return s
	}
	buffer := m.imageOf(ref)
	if buffer == 0 {
		return s
	}
	m.hold(buffer)
	s.buffer = capture.PixelBuffer(buffer)
	s.size = image.Pt(int(m.bufferWidth(buffer)), int(m.bufferHeight(buffer)))
	s.scale = [2]float64{m.float(info, m.keyScale), m.float(info, m.keyContentScale)}
	if dirty := m.dictionaryGet(info, m.keyDirty); dirty != 0 {
		s.known = true
		for i := range m.arrayCount(dirty) {
			r, ok := m.rect(m.arrayGet(dirty, i))
			s.known = s.known && ok
			s.damage = append(s.damage, outer(r.x, r.y, r.width, r.height))
		}
	}
	return s
}

var selGetValue = sync.OnceValue(func() objc.SEL { return objc.RegisterName("getValue:size:") })

// rect returns a rectangle: a dictionary, or an NSValue as SCStream.h says.
func (m *macOS) rect(ref uintptr) (r cgRect, ok bool) {
	if m.typeID(ref) == m.dictionaryID() {
		return r, m.rectOf(ref, &r)
	}
	objc.ID(ref).Send(selGetValue(), unsafe.Pointer(&r), unsafe.Sizeof(r))
	return r, true
}
