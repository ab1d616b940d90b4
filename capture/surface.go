package capture

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Kind is a kind of memory.
type Kind uint8

// The kinds.
const (
	Memory Kind = iota // main memory
	DMA                // *DMABuf
	Metal              // PixelBuffer
	CUDA               // *CUDAArray
)

var kinds = [...]string{Memory: "memory", DMA: "dma-buf", Metal: "pixel-buffer", CUDA: "cuda"}

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Memory, DMA, Metal, CUDA} }

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kinds[:], string(text))
	if i < 0 {
		return fmt.Errorf("capture: no kind of memory is named %q", text)
	}
	*k = Kind(i)
	return nil
}

func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Device identifies a graphics device: its render node's device number on Linux. The zero value is no device.
type Device struct {
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
}

// Surface is a picture in the memory of a device: a *DMABuf, a PixelBuffer or a *CUDAArray.
type Surface interface{ Kind() Kind }

// DMABuf is a picture in a Linux DMA-BUF. Its files belong to the Source.
type DMABuf struct {
	FourCC   uint32 // the pixel format (drm_fourcc.h)
	Modifier uint64 // the layout of the pixels
	Planes   []Plane
	Buffer   uint64 // identifies the buffer, which comes again: importers cache by it
	Device   Device
	Ready    int // a sync_file that signals when the pixels are there, or -1
}

// Plane is a part of a DMABuf.
type Plane struct {
	FD             int
	Offset, Stride uint32
}

// Kind implements Surface.
func (*DMABuf) Kind() Kind { return DMA }

// PixelBuffer is a CVPixelBufferRef of macOS.
type PixelBuffer uintptr

// Kind implements Surface.
func (PixelBuffer) Kind() Kind { return Metal }

// CUDAArray is a picture in the memory of an NVIDIA device.
type CUDAArray struct {
	Array  uintptr // CUarray
	Device Device
}

// Kind implements Surface.
func (*CUDAArray) Kind() Kind { return CUDA }

// Copier copies surfaces to main memory. A Source has one for all its frames.
type Copier struct {
	// Copy writes the picture of a surface to dst, in the form of Frame.Pix. It may be called concurrently.
	Copy func(s Surface, dst []byte, stride int) error

	copies atomic.Uint64
	mu     sync.Mutex
	spare  [][]byte // of copies whose frames are released: memory that is not new has no page faults
}

// maxSpare is the number of buffers that are kept.
const maxSpare = 3

// Copies returns the number of copies so far. Each costs the time and the memory bandwidth that surfaces save.
func (c *Copier) Copies() uint64 { return c.copies.Load() }

func (c *Copier) buffer(size int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.spare); n > 0; n = len(c.spare) {
		b := c.spare[n-1]
		c.spare = c.spare[:n-1]
		if len(b) == size {
			return b
		}
	}
	return make([]byte, size)
}

func (c *Copier) keep(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spare) < maxSpare {
		c.spare = append(c.spare, b)
	}
}

// copied is the copy of one picture in main memory. Frames over the same pixels share it.
type copied struct {
	copier *Copier
	once   sync.Once
	pix    []byte
	err    error
}

func (c *copied) of(f *Frame) ([]byte, int, error) {
	stride := 4 * f.Width
	c.once.Do(func() {
		pix := c.copier.buffer(stride * f.Height)
		if err := c.copier.Copy(f.Surface, pix, stride); err != nil {
			c.copier.keep(pix)
			c.err = fmt.Errorf("capture: copy a %v to main memory: %w", f.Surface.Kind(), err)
			return
		}
		c.copier.copies.Add(1)
		c.pix = pix
	})
	return c.pix, stride, c.err
}

// free gives the memory back.
func (c *copied) free() {
	if c.pix != nil {
		c.copier.keep(c.pix)
		c.pix = nil
	}
}
