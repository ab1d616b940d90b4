//go:build cgo && !noffmpeg

package ffmpeg

// Decoder decodes video, one access unit at a time. One goroutine uses it.
type Decoder struct{ decoder *decoder }

// NewDecoder opens a decoder of a codec, by its RTP name. The caller must Close it.
func NewDecoder(codec string) (*Decoder, error) {
	d, err := newDecoder(codec)
	if err != nil {
		return nil, err
	}
	return &Decoder{d}, nil
}

// Luma decodes an access unit and returns the plane Y of its picture, without gaps between rows. The first access unit
// must be a keyframe.
func (d *Decoder) Luma(unit []byte) (plane []byte, width, height int, err error) {
	p, err := d.decoder.decode(unit)
	return p.data, p.width, p.height, err
}

// Close releases the decoder.
func (d *Decoder) Close() { d.decoder.free() }
