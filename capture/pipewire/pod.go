package pipewire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
)

// PODs are the values of PipeWire's messages: a header of two words, its size and its type, and a body that is padded
// to 8 bytes. Numbers are in the machine's byte order.

// The types of PODs, and of objects (spa/utils/type.h).
const (
	podID        = 3
	podInt       = 4
	podRectangle = 10
	podFraction  = 11
	podObject    = 15
	podChoice    = 19

	objectFormat  = 0x40003
	objectBuffers = 0x40004
	objectMeta    = 0x40005
)

// The kinds of choices.
const (
	choiceNone  = 0
	choiceRange = 1
	choiceEnum  = 3
	choiceFlags = 4
)

// The parameters of a stream (spa/param/param.h), and their keys.
const (
	paramEnumFormat = 3
	paramFormat     = 4
	paramBuffers    = 5
	paramMeta       = 6

	keyMediaType    = 1
	keyMediaSubtype = 2
	keyVideoFormat  = 0x20001
	keyVideoSize    = 0x20003
	keyFramerate    = 0x20004
	keyMaxFramerate = 0x20005

	keyBuffers  = 1
	keyBlocks   = 2
	keyDataType = 6

	keyMetaType = 1
	keyMetaSize = 2
)

const (
	mediaVideo = 2
	mediaRaw   = 1

	dataMemPtr = 1
	dataMemFd  = 2

	metaHeader      = 1
	metaVideoDamage = 3
	headerSize      = 32
	regionSize      = 16
)

// Pixel formats of 32 bits (spa/param/video/raw.h).
const (
	videoRGBx = 7
	videoBGRx = 8
	videoRGBA = 11
	videoBGRA = 12
)

var ne = binary.NativeEndian

// pod returns a POD with its padding.
func pod(kind uint32, body []byte) []byte {
	b := ne.AppendUint32(ne.AppendUint32(nil, uint32(len(body))), kind)
	b = append(b, body...)
	return append(b, make([]byte, -len(b)&7)...)
}

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = ne.AppendUint32(b, v)
	}
	return b
}

// property is a key of an object with its value.
type property struct {
	key   uint32
	value []byte
}

func object(kind, id uint32, properties ...property) []byte {
	body := words(kind, id)
	for _, p := range properties {
		body = append(append(body, words(p.key, 0)...), p.value...)
	}
	return pod(podObject, body)
}

func id(v uint32) []byte { return pod(podID, words(v)) }

// choice returns a choice between values of a number of words each. The first value is the default.
func choice(kind, of uint32, size int, values ...uint32) []byte {
	return pod(podChoice, append(words(kind, 0, uint32(4*size), of), words(values...)...))
}

// formats returns what pictures a stream accepts, at most fps a second: whole pixels of 32 bits in main memory.
func formats(fps int) []byte {
	most := uint32(1000)
	if fps > 0 {
		most = uint32(fps)
	}
	return object(
		objectFormat, paramEnumFormat,
		property{keyMediaType, id(mediaVideo)},
		property{keyMediaSubtype, id(mediaRaw)},
		property{keyVideoFormat, choice(choiceEnum, podID, 1, videoBGRx, videoBGRx, videoBGRA, videoRGBx, videoRGBA)},
		property{keyVideoSize, choice(choiceRange, podRectangle, 2, 1920, 1080, 1, 1, maxSide, maxSide)},
		property{keyFramerate, choice(choiceRange, podFraction, 2, 0, 1, 0, 1, 1000, 1)},
		property{keyMaxFramerate, choice(choiceRange, podFraction, 2, most, 1, 1, 1, most, 1)},
	)
}

// buffers returns what buffers a stream accepts, and what the producer must tell with each picture.
func buffers() []byte {
	b := object(
		objectBuffers, paramBuffers,
		property{keyBuffers, choice(choiceRange, podInt, 1, 8, 2, 16)},
		property{keyBlocks, choice(choiceRange, podInt, 1, 1, 1, 1)},
		property{keyDataType, choice(choiceFlags, podInt, 1, 1<<dataMemFd|1<<dataMemPtr)},
	)
	b = append(b, object(objectMeta, paramMeta,
		property{keyMetaType, id(metaHeader)},
		property{keyMetaSize, pod(podInt, words(headerSize))},
	)...)
	return append(b, object(objectMeta, paramMeta,
		property{keyMetaType, id(metaVideoDamage)},
		property{keyMetaSize, choice(choiceRange, podInt, 1, 16*regionSize, regionSize, 64*regionSize)},
	)...)
}

// format is the form of a stream's pictures.
type format struct {
	size   image.Point
	pixels uint32
}

var errPOD = errors.New("malformed description of the format")

// next separates the first POD from a list.
func next(b []byte) (kind uint32, body, rest []byte, err error) {
	if len(b) < 8 {
		return 0, nil, nil, errPOD
	}
	size, kind := ne.Uint32(b), ne.Uint32(b[4:])
	if uint64(size) > uint64(len(b)-8) {
		return 0, nil, nil, errPOD
	}
	body = b[8 : 8+size]
	padded := min(len(b), 8+int(size+7)&^7)
	return kind, body, b[padded:], nil
}

// fixed returns the value of a POD, which may be a choice of one value.
func fixed(kind uint32, body []byte) (uint32, []byte) {
	if kind != podChoice || len(body) < 16 {
		return kind, body
	}
	size := uint64(ne.Uint32(body[8:]))
	if ne.Uint32(body) != choiceNone || size > uint64(len(body)-16) {
		return kind, body
	}
	return ne.Uint32(body[12:]), body[16 : 16+size]
}

// parseFormat reads the format that was agreed on.
func parseFormat(b []byte) (format, error) {
	var f format
	kind, body, _, err := next(b)
	if err != nil || kind != podObject || len(body) < 8 || ne.Uint32(body) != objectFormat {
		return f, errPOD
	}
	var media, subtype uint32
	for rest := body[8:]; len(rest) >= 8; {
		key := ne.Uint32(rest)
		var value []byte
		if kind, value, rest, err = next(rest[8:]); err != nil {
			return f, err
		}
		kind, value = fixed(kind, value)
		switch {
		case kind == podID && len(value) >= 4:
			v := ne.Uint32(value)
			switch key {
			case keyMediaType:
				media = v
			case keyMediaSubtype:
				subtype = v
			case keyVideoFormat:
				f.pixels = v
			}
		case kind == podRectangle && key == keyVideoSize && len(value) >= 8:
			w, h := ne.Uint32(value), ne.Uint32(value[4:])
			f.size = image.Pt(int(min(w, maxSide+1)), int(min(h, maxSide+1)))
		}
	}
	if media != mediaVideo || subtype != mediaRaw {
		return f, fmt.Errorf("%w: media %d/%d is no raw video", errPOD, media, subtype)
	}
	return f, nil
}
