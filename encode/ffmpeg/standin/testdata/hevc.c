#include "codec.h"
#include "control.h"

#include <stdlib.h>
#include <string.h>
#include <x265.h>

struct encoder {
	x265_encoder *x265;
	x265_param *param;
	x265_picture *picture;
	uint8_t *chroma[2]; // x265 takes separate planes
	int width, height; // of the chroma
	int64_t pictures;
	struct control control;
	uint8_t *data;
	size_t room;
};

static void close_encoder(void *encoder)
{
	struct encoder *e = encoder;
	if (e->x265)
		x265_encoder_close(e->x265);
	if (e->param)
		x265_param_free(e->param);
	if (e->picture)
		x265_picture_free(e->picture);
	free(e->chroma[0]);
	free(e->chroma[1]);
	free(e->data);
	free(e);
}

static void take_settings(x265_param *p, const struct settings *s)
{
	p->logLevel = X265_LOG_NONE;
	p->frameNumThreads = 1;
	p->bEnableWavefront = 0;
	p->sourceWidth = s->width;
	p->sourceHeight = s->height;
	p->internalCsp = X265_CSP_I420;
	p->fpsNum = s->rate_num;
	p->fpsDenom = s->rate_den;
	p->keyframeMax = -1;
	p->bOpenGOP = 0;
	p->levelIdc = s->level / 3; // 10 times the level, where the bitstream has 30 times
	p->bAnnexB = 1;
	p->bRepeatHeaders = s->headers;
	p->bEmitInfoSEI = 0;
	// Each picture is told its quantizer, because x265 does not keep to a buffer of one picture. With a constant quantizer
	// it would take no level.
	p->rc.rateControlMode = X265_RC_ABR;
	p->rc.bitrate = 100;
	p->rc.aqMode = X265_AQ_NONE;
	p->rc.cuTree = 0;
	p->vui.bEnableVideoSignalTypePresentFlag = 1;
	p->vui.videoFormat = 5; // unspecified
	p->vui.bEnableVideoFullRangeFlag = s->colors.full_range;
	p->vui.bEnableColorDescriptionPresentFlag = 1;
	p->vui.colorPrimaries = s->colors.primaries ? s->colors.primaries : 2;
	p->vui.transferCharacteristics = s->colors.transfer ? s->colors.transfer : 2;
	p->vui.matrixCoeffs = s->colors.matrix ? s->colors.matrix : 2;
	p->vui.bEnableChromaLocInfoPresentFlag = 1;
	p->vui.chromaSampleLocTypeTopField = p->vui.chromaSampleLocTypeBottomField = s->colors.location;
}

static void *open_encoder(const struct settings *s)
{
	struct encoder *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->width = (s->width + 1) / 2;
	e->height = (s->height + 1) / 2;
	for (int i = 0; i < 2; i++)
		e->chroma[i] = malloc((size_t)e->width * e->height);
	e->param = x265_param_alloc();
	e->picture = x265_picture_alloc();
	if (!e->chroma[0] || !e->chroma[1] || !e->param || !e->picture ||
	    x265_param_default_preset(e->param, "ultrafast", "zerolatency") ||
	    x265_param_parse(e->param, "pools", "none"))
		goto fail;
	take_settings(e->param, s);
	if (x265_param_apply_profile(e->param, s->profile) || !(e->x265 = x265_encoder_open(e->param)))
		goto fail;
	e->control = (struct control){.finest = 20, .coarsest = 51, .halving = 6,
	                              .pictures_per_second = (double)s->rate_num / s->rate_den};
	control_rate(&e->control, &s->rate);
	return e;
fail:
	close_encoder(e);
	return NULL;
}

static int set_rate(void *encoder, const struct rate *r)
{
	control_rate(&((struct encoder *)encoder)->control, r);
	return 0;
}

// Copies the units of a picture to one place.
static int gather(struct encoder *e, const x265_nal *nal, uint32_t n, struct unit *u)
{
	u->size = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (u->size + nal[i].sizeBytes > e->room) {
			size_t room = 2 * (u->size + nal[i].sizeBytes);
			uint8_t *data = realloc(e->data, room);
			if (!data)
				return -1;
			e->data = data;
			e->room = room;
		}
		memcpy(e->data + u->size, nal[i].payload, nal[i].sizeBytes);
		u->size += nal[i].sizeBytes;
	}
	u->data = e->data;
	return u->size ? 0 : -1;
}

static int encode(void *encoder, const struct picture *p, struct unit *u)
{
	struct encoder *e = encoder;
	picture_split(p, e->chroma, e->width, e->width, e->height);
	x265_picture *in = e->picture;
	x265_picture_init(e->param, in);
	in->pts = e->pictures++;
	in->sliceType = p->key ? X265_TYPE_IDR : X265_TYPE_P;
	in->planes[0] = (void *)p->plane[0];
	in->stride[0] = p->stride[0];
	for (int i = 0; i < 2; i++) {
		in->planes[i + 1] = e->chroma[i];
		in->stride[i + 1] = e->width;
	}
	u->quantizer = control_begin(&e->control, p->key);
	in->forceqp = u->quantizer + 1;
	x265_picture out = {0};
	x265_nal *nal;
	uint32_t n = 0;
	int made = x265_encoder_encode(e->x265, &nal, &n, in, &out);
	u->key = out.sliceType == X265_TYPE_IDR;
	if (made <= 0 || gather(e, nal, n, u))
		return -1;
	control_end(&e->control, p->key, 8.0 * u->size);
	return 0;
}

// A unit of filler data.
static void fill(uint8_t *to, size_t size)
{
	memcpy(to, "\0\0\0\1\114\1", 6);
	memset(to + 6, 0xff, size - 7);
	to[size - 1] = 0x80;
}

const struct codec codec_hevc = {open_encoder, set_rate, encode, close_encoder, fill};
