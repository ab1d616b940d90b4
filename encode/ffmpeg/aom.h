// libaom without libavcodec. libavcodec 7.1 writes to freed memory when it opens libaom, and hands it no other rate.
#ifndef WAVRY_AOM_H
#define WAVRY_AOM_H

#include <stdint.h>
#include <libavutil/frame.h>

typedef struct wavry_aom wavry_aom;

// Ticks per second of pictures' times.
#define WAVRY_AOM_CLOCK 90000

// Opens an encoder of a size, at a rate in bits per second. No picture has a quantizer below finest, from 0 to 63. Each
// option is a pair of libaom's name and value. It returns NULL on failure, and then why says what failed.
wavry_aom *wavry_aom_open(int width, int height, int threads, int64_t rate, int buffer_ms, int finest,
                          const char *const *options, int n, char *why, int why_size);

// What wavry_aom_encode makes of a picture. The data are valid until the next call.
typedef struct {
	const uint8_t *data;
	int size;
	int key;
	int quantizer; // from 0 to 63
} wavry_aom_unit;

// Encodes a picture in yuv420p, which begins at pts and lasts for duration. A keyframe may use so many hundredths of a
// picture's share of the rate. It returns 0, or another number on failure, and then why says what failed.
int wavry_aom_encode(wavry_aom *a, const AVFrame *picture, int64_t pts, int64_t duration, int key, int intra_percent,
                     wavry_aom_unit *unit, char *why, int why_size);

// Changes the rate from the next picture on.
int wavry_aom_set_rate(wavry_aom *a, int64_t rate);

// Closes an encoder. It accepts NULL.
void wavry_aom_close(wavry_aom *a);

#endif
