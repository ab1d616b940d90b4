#include "device.h"

// Reads the bits of a parameter set, without its emulation prevention bytes.
struct bits {
	uint8_t data[512];
	size_t size, at;
};

static unsigned get(struct bits *b, int n)
{
	unsigned value = 0;
	for (; n > 0; n--, b->at++)
		value = value << 1 | (b->at / 8 < b->size ? b->data[b->at / 8] >> (7 - b->at % 8) & 1 : 0);
	return value;
}

static unsigned golomb(struct bits *b)
{
	int zeros = 0;
	while (zeros < 31 && b->at < 8 * b->size && !get(b, 1))
		zeros++;
	return (1u << zeros) - 1 + get(b, zeros);
}

// Finds the unit of a type, whose first byte is (type << shift). It returns 0 if there is none.
static int find(struct bits *b, const uint8_t *data, size_t size, int type, int shift, int mask)
{
	size_t at = 0;
	while (at + 4 < size && !(data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1 && (data[at + 3] >> shift & mask) == type))
		at++;
	if (at + 4 >= size)
		return 0;
	int zeros = 0;
	for (at += 3; at < size && b->size < sizeof b->data; at++) {
		if (zeros >= 2 && data[at] == 3) {
			zeros = 0;
			continue;
		}
		if (zeros >= 2 && data[at] == 1)
			break; // the next unit
		zeros = data[at] ? 0 : zeros + 1;
		b->data[b->size++] = data[at];
	}
	return 1;
}

// Reads the meaning of the colors from the parameters of usability, which are the same in both codecs so far.
static void usability(struct bits *b, struct colors *c)
{
	if (get(b, 1) && get(b, 8) == 255)
		get(b, 32);
	if (get(b, 1))
		get(b, 1);
	if (get(b, 1)) {
		get(b, 3);
		c->full_range = get(b, 1);
		if (get(b, 1)) {
			c->primaries = get(b, 8);
			c->transfer = get(b, 8);
			c->matrix = get(b, 8);
		}
	}
	if (get(b, 1))
		c->location = golomb(b);
}

static void h264(struct sequence *s, struct bits *b)
{
	get(b, 8); // of the unit
	unsigned profile = get(b, 8);
	get(b, 16); // constraints, level
	golomb(b);
	if (profile == 100) {
		golomb(b); // chroma format, depths
		golomb(b);
		golomb(b);
		get(b, 2);
	}
	golomb(b); // log2_max_frame_num_minus4
	unsigned order = golomb(b);
	if (order == 0)
		golomb(b);
	else if (order == 1)
		return; // libavcodec does not use it
	golomb(b);
	get(b, 1);
	golomb(b);
	golomb(b);
	if (!get(b, 1))
		get(b, 1);
	get(b, 1);
	if (get(b, 1))
		for (int i = 0; i < 4; i++)
			golomb(b);
	if (get(b, 1))
		usability(b, &s->colors);
}

// Only this packed header has the size of the picture: the sequence's parameters have that of the surface.
static void hevc(struct sequence *s, struct bits *b)
{
	get(b, 16); // of the unit
	get(b, 8);  // one layer
	get(b, 88); // profile and tier
	s->level = get(b, 8);
	golomb(b);
	golomb(b); // chroma format
	s->width = golomb(b);
	s->height = golomb(b);
	if (get(b, 1)) {
		s->width -= 2 * golomb(b);
		s->width -= 2 * golomb(b);
		s->height -= 2 * golomb(b);
		s->height -= 2 * golomb(b);
	}
	golomb(b); // depths
	golomb(b);
	golomb(b); // log2_max_pic_order_cnt_lsb_minus4
	get(b, 1);
	for (int i = 0; i < 3 + 6; i++) // of the decoder's buffer, and of blocks
		golomb(b);
	unsigned unknown = get(b, 1); // scaling lists
	get(b, 2);
	unknown |= get(b, 1);  // samples without a transform
	unknown |= golomb(b); // sets of references
	unknown |= get(b, 1);
	get(b, 2);
	if (!unknown && get(b, 1)) // libavcodec uses none of them
		usability(b, &s->colors);
}

// Finds a sequence header of AV1 at the beginning of the data. It returns 0 if there is none.
static int find_av1(struct bits *b, const uint8_t *data, size_t size)
{
	size_t at = 1;
	if (size < 3 || (data[0] >> 3 & 15) != 1 || !(data[0] & 2))
		return 0;
	while (at < size && data[at] & 0x80) // the size
		at++;
	for (at++; at < size && b->size < sizeof b->data; at++)
		b->data[b->size++] = data[at];
	return 1;
}

static void av1(struct sequence *s, struct bits *b)
{
	get(b, 5);             // profile, still pictures
	if (get(b, 1 + 1 + 5)) // timing, delay, several operating points
		return; // libavcodec uses none of them
	get(b, 12);
	if (get(b, 5) > 7) // level
		get(b, 1);
	int width = get(b, 4) + 1, height = get(b, 4) + 1;
	get(b, width);
	get(b, height);
	get(b, 1 + 3 + 4); // frame numbers, tools
	unsigned order = get(b, 1);
	if (order)
		get(b, 2);
	unsigned screen = get(b, 1) || get(b, 1);
	if (screen && !get(b, 1))
		get(b, 1);
	if (order)
		get(b, 3);
	get(b, 3 + 2); // tools, depth, gray
	if (get(b, 1)) {
		s->colors.primaries = get(b, 8);
		s->colors.transfer = get(b, 8);
		s->colors.matrix = get(b, 8);
	}
	s->colors.full_range = get(b, 1);
	s->colors.location = get(b, 2);
}

void sequence_header(struct sequence *s, VAProfile profile, const uint8_t *data, size_t size)
{
	struct bits b = {0};
	if (profile == VAProfileAV1Profile0) {
		if (find_av1(&b, data, size))
			av1(s, &b);
	} else if (profile == VAProfileHEVCMain) {
		if (find(&b, data, size, 33, 1, 63))
			hevc(s, &b);
	} else if (find(&b, data, size, 7, 0, 31)) {
		h264(s, &b);
	}
}
