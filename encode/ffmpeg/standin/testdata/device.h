// A graphics device for tests: a driver for libva that encodes with x264, x265 and libaom. It is not part of the
// product. card.h is about NVIDIA's cards.
//
// The device is a file, which takes the place of a render node. The file's words set limits and faults. They are read
// again at each operation, so that a test can break a device while it is in use:
//
//   sessions=N    no more than N encodes at a time
//   min=N max=N   the shortest and the longest side of a picture
//   rate=refused  a second rate is refused
//   rate=fixed    the rate of the opening stays; NVIDIA's cards say so
//   rate=vbr      no constant rate
//   rate=ignored  each picture has 64 KB at least
//   import=none   no surfaces of other programs
//   process=none  no scaling or conversion
//   encode=none   no encoder
//   encode=h264   no other codec
//   hang          a picture is never done
//   corrupt       the encoder's output is damaged
//   damaged       its pictures between keyframes are
//   crash         the driver crashes at a picture
//   lost          all operations fail
//
// The device counts what it does in a file of the same name with ".counts".
#ifndef DEVICE_H
#define DEVICE_H

#include <pthread.h>
#include <stdint.h>
#include <va/va.h>
#include <va/va_backend.h>
#include <va/va_backend_vpp.h>
#include <va/va_drmcommon.h>
#include <va/va_enc_av1.h>
#include <va/va_enc_h264.h>
#include <va/va_enc_hevc.h>
#include <va/va_vpp.h>

#include "codec.h"
#include "fault.h"

#define MAX_OBJECTS 4096

enum kind { FREE, CONFIG, CONTEXT, SURFACE, IMAGE, BUFFER };

struct surface {
	uint32_t fourcc;
	int width, height;
	uint8_t *memory; // of the whole surface
	size_t size;
	int imported; // the memory is another program's, or a copy of that
	int fd;       // of the memory that other programs may read
	uint8_t *plane[2];
	int stride[2];
};

struct buffer {
	VABufferType type;
	unsigned size, count;
	uint8_t *data;
	int borrowed;                 // data is a surface's
	VACodedBufferSegment segment; // of a coded buffer
};

struct config {
	VAProfile profile;
	VAEntrypoint entrypoint;
};

// What a sequence is given. The meaning of its colors is in the packed header alone.
struct sequence {
	int width, height, level;
	struct colors colors;
};

struct context {
	struct config config;
	int width, height;
	VASurfaceID target;

	// What the current picture was given. The sequence's parts stay.
	struct sequence sequence;
	VABufferID coded;
	int key;
	VAProcPipelineParameterBuffer pipeline;
	int has_sequence, has_pipeline;
	uint32_t bits_per_second, buffer_bits, rate_num, rate_den;

	const struct codec *codec;
	void *encoder;
	uint32_t opened_rate;
};

struct object {
	enum kind kind;
	union {
		struct config config;
		struct context context;
		struct surface surface;
		VAImage image;
		struct buffer buffer;
	};
};

struct device {
	pthread_mutex_t mutex;
	int fd;
	int counts; // a file
	struct object *objects[MAX_OBJECTS];
	unsigned long maps, imports, pictures;
	VAImageFormat formats[2];
};

// Reports whether the device has a setting or a fault of that name. *value gets its number, if it has one.
int device_setting(struct device *d, const char *name, long *value);
void device_count(struct device *d);
// Returns an object of that kind, or NULL.
void *device_object(struct device *d, enum kind kind, VAGenericID id);
uint8_t *coded_buffer(struct device *d, VABufferID id, size_t size);

// Writes the profiles that have an encoder, or those of H.264 alone, and returns their number.
int encode_profiles(VAProfile *list, int h264);
VAStatus encode_picture(struct device *d, struct context *c);
void encode_close(struct context *c);
// Reads a packed header, if it has the parameters of a sequence.
void sequence_header(struct sequence *s, VAProfile profile, const uint8_t *data, size_t size);
VAStatus process_picture(struct device *d, struct context *c);

#endif
