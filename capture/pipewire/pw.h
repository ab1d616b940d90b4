// The used part of PipeWire's interface, and what this package makes of it. The library is loaded at run time, and its
// headers are not needed to compile. PipeWire keeps these layouts and numbers for existing programs since version 0.3.

#ifndef WAVRY_PW_H
#define WAVRY_PW_H

#include <stddef.h>
#include <stdint.h>

// Limits. A producer may offer more buffers, which are then not used.
enum { WAVRY_SLOTS = 64, WAVRY_DAMAGE = 16, WAVRY_POD = 1024, WAVRY_TEXT = 256 };

// The states of a stream, as in enum pw_stream_state.
enum { WAVRY_ERROR = -1, WAVRY_UNCONNECTED, WAVRY_CONNECTING, WAVRY_PAUSED, WAVRY_STREAMING };

// A picture that the producer has finished. All numbers are the producer's, except size.
typedef struct {
	int32_t slot; // -1 for none
	uint32_t generation;
	void *address;   // of the data, if it is mapped; NULL if it must be copied
	void *mapping;   // what keeps it mapped until wavry_pw_unmap, whatever the stream does
	uint64_t length; // of the data that can be read
	uint32_t offset, size;
	int32_t stride;
	uint64_t format; // the serial of its format
	int32_t whole;   // everything may have changed
	int32_t damages; // else these areas
	int32_t damage[WAVRY_DAMAGE][4]; // x, y, width, height
} wavry_picture;

// What is known of a stream.
typedef struct {
	int32_t state;
	int32_t failure; // an errno, or 0
	char text[WAVRY_TEXT];
	uint64_t pongs;
	int32_t buffers; // that can be used
	uint64_t dropped;
	uint64_t format; // serial of the format, 0 for none yet
	uint32_t pod;    // its size
	uint8_t pods[WAVRY_POD];
	wavry_picture picture;
} wavry_update;

// A list of PODs: each is aligned to 8 bytes, and follows the one before.
typedef struct {
	const uint8_t *bytes;
	uint32_t size;
} wavry_pods;

typedef struct wavry_stream wavry_stream;

// Loads the library once. It returns NULL, or a text that says why not, which lives for ever.
const char *wavry_pw_load(const char *path);
// Returns the version of the loaded library.
const char *wavry_pw_version(void);

// Opens a stream of a node, through a connected socket, which the stream owns. wake is an eventfd that it writes to. It
// returns NULL after an error, and says which.
wavry_stream *wavry_pw_open(int socket, int wake, uint32_t node, const char *properties, wavry_pods formats,
	wavry_pods buffers, char *why);
void wavry_pw_close(wavry_stream *s);
// Reports the state, and takes the newest picture if one is wanted and there is one.
void wavry_pw_take(wavry_stream *s, int wanted, wavry_update *u);
// Gives a picture's buffer back to the producer.
void wavry_pw_give_back(wavry_stream *s, int32_t slot, uint32_t generation);
// Copies a part of a picture's data. It returns the number of copied bytes.
int64_t wavry_pw_copy(wavry_stream *s, int32_t slot, uint32_t generation, uint64_t from, void *to, uint64_t size);
// Asks the daemon for an answer.
void wavry_pw_ping(wavry_stream *s);
// Ends the hold of a picture's memory. The stream may be closed.
void wavry_pw_unmap(void *mapping);

#endif
