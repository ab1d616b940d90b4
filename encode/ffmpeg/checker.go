//go:build cgo && !noffmpeg

package ffmpeg

/*
#include "bridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"wavryhost/encode"
)

// sampleEvery is the time between pictures that are decoded to find damage. One of 1280x720 takes 2.0 ms, and one of
// 1920x1080 takes 2.8 ms: 1.0 and 1.4 % of a core.
const sampleEvery = 200 * time.Millisecond

// checker decodes what a device makes: keyframes before viewers get them, and a sample of the pictures between them
// meanwhile. Drivers may report success and return garbage, for example after a reset of the device. A browser that
// conceals all damage between keyframes never asks for one.
//
// The decoder does not get the pictures in between. What it shows is wrong, but the syntax of H.264 depends on no other
// picture. So the sample finds damaged data, and not wrong pictures.
//
// The decoder of HEVC reports damage in headers alone. Only the trial of an encoder finds more: it compares pictures.
type checker struct {
	width, height int
	samples       bool
	sampled       time.Time // the capture time of the last picture of the sample
	tasks         sync.WaitGroup

	mu    sync.Mutex
	dec   *decoder // nil for formats without one
	found error
}

// newChecker returns the checker of a format. The caller must close it.
func newChecker(format encode.Format, width, height int) *checker {
	c := &checker{width: width, height: height}
	if dec, err := newDecoder(format.Codec); err == nil { // else it cannot be checked
		(*C.AVCodecContext)(dec.context.UnsafePointer()).skip_loop_filter = C.AVDISCARD_ALL // saves time
		c.dec, c.samples = dec, format.Codec == encode.CodecH264
	}
	return c
}

// key decodes a keyframe.
func (c *checker) key(data []byte, at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dec == nil {
		return nil
	}
	c.sampled = at
	switch p, err := c.dec.decode(data); {
	case err != nil:
		return fmt.Errorf("keyframe: %w: %w", encode.ErrOutput, err)
	case p.width != c.width || p.height != c.height:
		return fmt.Errorf("keyframe: %w: it is %dx%d instead of %dx%d", encode.ErrOutput,
			p.width, p.height, c.width, c.height)
	}
	return nil
}

// sample decodes a picture in the background, if its turn has come and the previous one is done.
func (c *checker) sample(data []byte, at time.Time) {
	if !c.samples || at.Sub(c.sampled) < sampleEvery || !c.mu.TryLock() {
		return
	}
	c.mu.Unlock()
	c.sampled = at
	c.tasks.Go(func() { // unguarded: it calls libavcodec and notes an error
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.dec.parse(data); err != nil && c.found == nil {
			c.found = fmt.Errorf("picture: %w: %w", encode.ErrOutput, err)
		}
	})
}

// damage returns what the sample found.
func (c *checker) damage() error {
	if !c.mu.TryLock() {
		return nil // a picture is being decoded
	}
	defer c.mu.Unlock()
	return c.found
}

// close waits for the picture that is being decoded.
func (c *checker) close() {
	c.tasks.Wait()
	if c.dec != nil {
		c.dec.free()
		c.dec = nil
	}
}

// damaged matches what libavcodec's H.264 decoder logs about data that no encoder makes. It also logs missing pictures.
var damaged = regexp.MustCompile(`error while decoding MB|left block unavailable|top block unavailable|` +
	`non-existing [SP]PS|Invalid NAL|out of range|Reserved bit|invalid slice|first_mb_in_slice|truncat`)

// parse decodes an access unit whose references may be missing. It returns an error if its data are damaged.
func (d *decoder) parse(unit []byte) error {
	_, err := d.decode(unit)
	if err != nil && damaged.MatchString(err.Error()) {
		return errors.New(damaged.FindString(err.Error()))
	}
	return nil
}
