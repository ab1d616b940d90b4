#include "device.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

// What the encoder inside calls a profile.
static const struct { VAProfile profile; const char *name; const struct codec *codec; } profiles[] = {
	{VAProfileH264ConstrainedBaseline, "baseline", &codec_h264},
	{VAProfileH264Main, "main", &codec_h264},
	{VAProfileH264High, "high", &codec_h264},
	{VAProfileHEVCMain, "main", &codec_hevc},
	{VAProfileAV1Profile0, "main", &codec_av1},
};

int encode_profiles(VAProfile *list, int h264)
{
	int n = 0;
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
		if (!h264 || profiles[i].codec == &codec_h264)
			list[n++] = profiles[i].profile;
	return n;
}

static struct rate rate_of(const struct context *c)
{
	return (struct rate){.mean = c->bits_per_second, .peak = c->bits_per_second, .buffer = c->buffer_bits};
}

static VAStatus open_encoder(struct context *c)
{
	struct settings s = {
		.level = c->sequence.level, .headers = 1, .width = c->sequence.width, .height = c->sequence.height,
		.rate_num = c->rate_num ? c->rate_num : 30, .rate_den = c->rate_den ? c->rate_den : 1,
		.colors = c->sequence.colors, .rate = rate_of(c),
	};
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
		if (profiles[i].profile == c->config.profile) {
			s.profile = profiles[i].name;
			c->codec = profiles[i].codec;
		}
	}
	c->encoder = c->codec->open(&s);
	c->opened_rate = c->bits_per_second;
	return c->encoder ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_OPERATION_FAILED;
}

// The first rate that a device was ever given.
static uint32_t first_rate;

static VAStatus check_rate(struct device *d, struct context *c)
{
	if (!first_rate)
		first_rate = c->bits_per_second;
	if (device_setting(d, "rate=refused", NULL) && c->bits_per_second != first_rate)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	return VA_STATUS_SUCCESS;
}

VAStatus encode_picture(struct device *d, struct context *c)
{
	struct surface *s = device_object(d, SURFACE, c->target);
	if (!s || s->fourcc != VA_FOURCC_NV12 || !c->has_sequence)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	if (device_setting(d, "crash", NULL))
		raise(SIGSEGV);
	VAStatus status = check_rate(d, c);
	if (status == VA_STATUS_SUCCESS && !c->encoder)
		status = open_encoder(c);
	if (status != VA_STATUS_SUCCESS)
		return status;
	if (c->opened_rate != c->bits_per_second) {
		struct rate rate = rate_of(c);
		if (c->codec->set_rate(c->encoder, &rate))
			return VA_STATUS_ERROR_OPERATION_FAILED;
		c->opened_rate = c->bits_per_second;
	}
	struct picture picture = {.plane = {s->plane[0], s->plane[1]}, .stride = {s->stride[0], s->stride[1]}, .key = c->key};
	struct unit unit;
	if (c->codec->encode(c->encoder, &picture, &unit))
		return VA_STATUS_ERROR_ENCODING_ERROR;
	size_t filler = fault_filler(d->fd, unit.size);
	uint8_t *data = coded_buffer(d, c->coded, unit.size + filler);
	if (!data)
		return VA_STATUS_ERROR_INVALID_BUFFER;
	memcpy(data, unit.data, unit.size);
	if (filler)
		c->codec->fill(data + unit.size, filler);
	fault_spoil(d->fd, data, unit.size, unit.key);
	d->pictures++;
	device_count(d);
	return VA_STATUS_SUCCESS;
}

void encode_close(struct context *c)
{
	if (c->encoder)
		c->codec->close(c->encoder);
	c->encoder = NULL;
}
