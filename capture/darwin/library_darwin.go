package darwin

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/ebitengine/purego/objc"

	"wavryhost/capture"
)

// Constants of the headers.
const (
	formatBGRA = 'B'<<24 | 'G'<<16 | 'R'<<8 | 'A' // kCVPixelFormatType_32BGRA, CVPixelBuffer.h
	formatNV12 = '4'<<24 | '2'<<16 | '0'<<8 | 'v' // kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange
	readOnly   = 1                                // kCVPixelBufferLock_ReadOnly
	outScreen  = 0                                // SCStreamOutputTypeScreen, SCStream.h
	numSInt64  = 4                                // kCFNumberSInt64Type, CFNumber.h
	numFloat64 = 6                                // kCFNumberFloat64Type
	encUTF8    = 0x08000100                       // kCFStringEncodingUTF8, CFString.h
	timeValid  = 1                                // kCMTimeFlags_Valid, CMTime.h
	maxScreens = 32
)

// cgRect is CGRect. purego returns such structs of four floating-point numbers on amd64 and arm64.
type cgRect struct{ x, y, width, height float64 }

// cmTime is CMTime. purego passes such structs of more than 16 bytes as amd64 (on the stack) and arm64 (by address of a
// copy) do.
type cmTime struct {
	value     int64
	timescale int32
	flags     uint32
	epoch     int64 //nolint:unused // for the layout
}

// library has the functions of C and the selectors that are used. References of Core Foundation are uintptr: they are
// no memory of Go.
type library struct {
	poolPush    func() uintptr
	poolPop     func(pool uintptr)
	queueCreate func(label string, attributes uintptr) uintptr

	retain        func(ref uintptr) uintptr
	release       func(ref uintptr)
	typeID        func(ref uintptr) uint
	dictionaryID  func() uint
	dictionaryGet func(dictionary, key uintptr) uintptr
	arrayCount    func(array uintptr) int
	arrayGet      func(array uintptr, i int) uintptr
	numberGet     func(number uintptr, kind int, value unsafe.Pointer) bool
	stringGet     func(ref uintptr, buffer *byte, size int, encoding uint32) bool
	uuidString    func(allocator, uuid uintptr) uintptr

	preflight      func() bool
	request        func() bool
	sessionCopy    func() uintptr
	displayList    func(most uint32, displays, count *uint32) int32
	displayBounds  func(display uint32) cgRect
	displayMode    func(display uint32) uintptr
	displayMain    func() uint32
	displayBuiltin func(display uint32) uint32
	displayMirrors func(display uint32) uint32
	displayUUID    func(display uint32) uintptr
	modeWidth      func(mode uintptr) uint
	modePixels     func(mode uintptr) uint
	rectOf         func(dictionary uintptr, rect *cgRect) bool

	attachments func(sample uintptr, create bool) uintptr
	imageOf     func(sample uintptr) uintptr

	bufferLock    func(buffer uintptr, flags uint64) int32
	bufferUnlock  func(buffer uintptr, flags uint64) int32
	bufferWidth   func(buffer uintptr) uint
	bufferHeight  func(buffer uintptr) uint
	bufferRow     func(buffer uintptr) uint
	bufferBase    func(buffer uintptr) unsafe.Pointer
	bufferPlanes  func(buffer uintptr) uint
	planeHeight   func(buffer uintptr, plane uint) uint
	planeRow      func(buffer uintptr, plane uint) uint
	planeBase     func(buffer uintptr, plane uint) unsafe.Pointer
	bufferSurface func(buffer uintptr) uintptr
	surfaceUse    func(surface uintptr)
	surfaceUnuse  func(surface uintptr)

	// Strings: keys of samples (SCStream.h), and values of configurations (CGColorSpace.h, CGDisplayStream.h).
	keyStatus, keyDirty, keyScale, keyContentScale, sRGB, matrix601 uintptr

	shareable, filter, configuration, stream, array objc.Class
}

var errVersion = fmt.Errorf("%w: macOS has no ScreenCaptureKit before 12.3", capture.ErrUnsupported)

const frameworks = "/System/Library/Frameworks/"

// load loads the frameworks once for each process. They stay loaded.
var load = sync.OnceValues(func() (*library, error) {
	l := &library{}
	for _, from := range []struct {
		path      string
		functions map[string]any
	}{
		{"/usr/lib/libobjc.A.dylib", map[string]any{
			"objc_autoreleasePoolPush": &l.poolPush, "objc_autoreleasePoolPop": &l.poolPop,
		}},
		{"/usr/lib/libSystem.B.dylib", map[string]any{"dispatch_queue_create": &l.queueCreate}},
		{frameworks + "CoreFoundation.framework/CoreFoundation", map[string]any{
			"CFRetain": &l.retain, "CFRelease": &l.release, "CFGetTypeID": &l.typeID,
			"CFDictionaryGetTypeID": &l.dictionaryID, "CFDictionaryGetValue": &l.dictionaryGet,
			"CFArrayGetCount": &l.arrayCount, "CFArrayGetValueAtIndex": &l.arrayGet, "CFNumberGetValue": &l.numberGet,
			"CFStringGetCString": &l.stringGet, "CFUUIDCreateString": &l.uuidString,
		}},
		{frameworks + "CoreGraphics.framework/CoreGraphics", map[string]any{
			"CGPreflightScreenCaptureAccess": &l.preflight, "CGRequestScreenCaptureAccess": &l.request,
			"CGSessionCopyCurrentDictionary": &l.sessionCopy, "CGGetOnlineDisplayList": &l.displayList,
			"CGDisplayBounds": &l.displayBounds, "CGDisplayCopyDisplayMode": &l.displayMode,
			"CGMainDisplayID": &l.displayMain, "CGDisplayMirrorsDisplay": &l.displayMirrors,
			"CGDisplayIsBuiltin":    &l.displayBuiltin,
			"CGDisplayModeGetWidth": &l.modeWidth, "CGDisplayModeGetPixelWidth": &l.modePixels,
			"CGRectMakeWithDictionaryRepresentation": &l.rectOf,
			"kCGColorSpaceSRGB":                      &l.sRGB, "kCGDisplayStreamYCbCrMatrix_ITU_R_601_4": &l.matrix601,
		}},
		{frameworks + "ColorSync.framework/ColorSync", map[string]any{
			"CGDisplayCreateUUIDFromDisplayID": &l.displayUUID,
		}},
		{frameworks + "CoreMedia.framework/CoreMedia", map[string]any{
			"CMSampleBufferGetSampleAttachmentsArray": &l.attachments, "CMSampleBufferGetImageBuffer": &l.imageOf,
		}},
		{frameworks + "CoreVideo.framework/CoreVideo", map[string]any{
			"CVPixelBufferLockBaseAddress": &l.bufferLock, "CVPixelBufferUnlockBaseAddress": &l.bufferUnlock,
			"CVPixelBufferGetWidth": &l.bufferWidth, "CVPixelBufferGetHeight": &l.bufferHeight,
			"CVPixelBufferGetBytesPerRow": &l.bufferRow, "CVPixelBufferGetBaseAddress": &l.bufferBase,
			"CVPixelBufferGetPlaneCount": &l.bufferPlanes, "CVPixelBufferGetHeightOfPlane": &l.planeHeight,
			"CVPixelBufferGetBytesPerRowOfPlane": &l.planeRow, "CVPixelBufferGetBaseAddressOfPlane": &l.planeBase,
			"CVPixelBufferGetIOSurface": &l.bufferSurface,
		}},
		{frameworks + "IOSurface.framework/IOSurface", map[string]any{
			"IOSurfaceIncrementUseCount": &l.surfaceUse, "IOSurfaceDecrementUseCount": &l.surfaceUnuse,
		}},
		{frameworks + "ScreenCaptureKit.framework/ScreenCaptureKit", map[string]any{
			"SCStreamFrameInfoStatus": &l.keyStatus, "SCStreamFrameInfoDirtyRects": &l.keyDirty,
			"SCStreamFrameInfoScaleFactor": &l.keyScale, "SCStreamFrameInfoContentScale": &l.keyContentScale,
		}},
	} {
		if err := bind(from.path, from.functions); err != nil {
			return nil, err
		}
	}
	for name, class := range map[string]*objc.Class{
		"SCShareableContent": &l.shareable, "SCContentFilter": &l.filter, "SCStreamConfiguration": &l.configuration,
		"SCStream": &l.stream, "NSArray": &l.array,
	} {
		if *class = objc.GetClass(name); *class == 0 {
			return nil, fmt.Errorf("%w (no class %s)", errVersion, name)
		}
	}
	return l, nil
})

// bind looks up symbols of a library: functions, and constants that are references.
func bind(path string, symbols map[string]any) error {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("%w (%w)", errVersion, err)
	}
	for name, to := range symbols {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return fmt.Errorf("%w (%w)", errVersion, err)
		}
		if constant, ok := to.(*uintptr); ok {
			*constant = **(**uintptr)(unsafe.Pointer(&symbol)) // symbol is the address of a C variable
			continue
		}
		purego.RegisterFunc(to, symbol)
	}
	return nil
}

// text returns a CFString, or an NSString, which is the same.
func (l *library) text(ref uintptr) string {
	var buffer [1024]byte
	if ref == 0 || !l.stringGet(ref, &buffer[0], len(buffer), encUTF8) {
		return ""
	}
	for n, c := range buffer {
		if c == 0 {
			return string(buffer[:n])
		}
	}
	return ""
}

// number reads a number of a dictionary.
func (l *library) number(dictionary, key uintptr) (n int64) {
	if ref := l.dictionaryGet(dictionary, key); ref != 0 {
		l.numberGet(ref, numSInt64, unsafe.Pointer(&n))
	}
	return n
}

// float reads a floating-point number of a dictionary.
func (l *library) float(dictionary, key uintptr) (x float64) {
	if ref := l.dictionaryGet(dictionary, key); ref != 0 {
		l.numberGet(ref, numFloat64, unsafe.Pointer(&x))
	}
	return x
}
