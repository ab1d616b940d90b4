package pointer

import (
	"bytes"
	"image"
	"image/png"

	"google.golang.org/protobuf/encoding/protowire"

	"wavryhost/capture"
)

// Label is the label of the data channel.
const Label = "pointer"

// partSize is how much of a shape a message has, so that a large shape delays no position for long.
const partSize = 8 << 10

// The fields of a message: State and Shape.
const (
	fieldState = 1
	fieldShape = 2
)

// State is where the pointer is, and which shape it has.
type State struct {
	// Shape is the ID of the shape, or 0 if there is nothing to draw.
	Shape uint32
	// At is the position, in pixels of a display of the size Display.
	At, Display image.Point
}

// message encodes the state. count grows with each message of a channel, because messages may overtake each other.
func (s State) message(count uint64) []byte {
	var b []byte
	b = appendNumber(b, 1, count)
	b = appendNumber(b, 2, uint64(s.Shape))
	b = appendNumber(b, 3, protowire.EncodeZigZag(int64(s.At.X)))
	b = appendNumber(b, 4, protowire.EncodeZigZag(int64(s.At.Y)))
	b = appendNumber(b, 5, uint64(s.Display.X))
	b = appendNumber(b, 6, uint64(s.Display.Y))
	return protowire.AppendBytes(protowire.AppendTag(nil, fieldState, protowire.BytesType), b)
}

// appendNumber appends a field, unless it is 0.
func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

// shape is a shape with its ID, as a PNG image.
type shape struct {
	id   uint32
	hot  image.Point
	size image.Point
	png  []byte
}

// messages encodes the shape in parts.
func (s *shape) messages() [][]byte {
	var all [][]byte
	for at := 0; at < len(s.png); at += partSize {
		var b []byte
		b = appendNumber(b, 1, uint64(s.id))
		b = appendNumber(b, 2, protowire.EncodeZigZag(int64(s.hot.X)))
		b = appendNumber(b, 3, protowire.EncodeZigZag(int64(s.hot.Y)))
		b = appendNumber(b, 4, uint64(s.size.X))
		b = appendNumber(b, 5, uint64(s.size.Y))
		b = appendNumber(b, 6, uint64(len(s.png)))
		b = appendNumber(b, 7, uint64(at))
		b = protowire.AppendTag(b, 8, protowire.BytesType)
		b = protowire.AppendBytes(b, s.png[at:min(at+partSize, len(s.png))])
		all = append(all, protowire.AppendBytes(protowire.AppendTag(nil, fieldShape, protowire.BytesType), b))
	}
	return all
}

// encode returns a shape as a PNG image.
func encode(s *capture.Shape) ([]byte, error) {
	m := image.NewRGBA(image.Rect(0, 0, s.Width, s.Height))
	for i := 0; i+3 < min(len(s.Pix), len(m.Pix)); i += 4 {
		a := s.Pix[i+3]
		// Colors that exceed their alpha are not premultiplied, and are cut as when they are drawn into the picture.
		m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = min(s.Pix[i+2], a), min(s.Pix[i+1], a), min(s.Pix[i], a), a
	}
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, m); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
