// The encoders inside the devices for tests, behind one interface: x264, x265 and libaom.
#ifndef CODEC_H
#define CODEC_H

#include <stddef.h>
#include <stdint.h>

// The meaning of the pictures' numbers, by the numbers of H.273. Zero primaries, transfer and matrix are unknown ones.
struct colors { int full_range, primaries, transfer, matrix, location; };

// A rate and its peak in bits per second, and the buffer of the rate control in bits.
struct rate { uint32_t mean, peak, buffer; };

struct settings {
	const char *profile; // by the name that the encoder has for it
	int level;           // as the codec's bitstream states it, or 0 for the lowest possible
	int headers;         // parameter sets are part of each keyframe
	int width, height;
	uint32_t rate_num, rate_den; // pictures per second
	struct colors colors;
	struct rate rate;
};

// A picture in NV12.
struct picture {
	const uint8_t *plane[2];
	int stride[2];
	int key;
};

struct unit {
	const uint8_t *data; // valid until the next picture
	size_t size;
	int key;
	int quantizer; // of the codec's own scale
};

struct codec {
	// Returns an encoder, or NULL.
	void *(*open)(const struct settings *s);
	// The other functions return 0, or -1 for a failure.
	int (*set_rate)(void *encoder, const struct rate *r);
	int (*encode)(void *encoder, const struct picture *p, struct unit *u);
	void (*close)(void *encoder);
	// Writes size bytes that decoders ignore. There are 8 at least.
	void (*fill)(uint8_t *to, size_t size);
};

extern const struct codec codec_h264, codec_hevc, codec_av1;

// Copies the chroma of a picture into separate planes of a size.
void picture_split(const struct picture *p, uint8_t *const plane[2], int stride, int width, int height);

#endif
