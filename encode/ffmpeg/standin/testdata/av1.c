#include "codec.h"
#include "control.h"

#include <aom/aom_encoder.h>
#include <aom/aomcx.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
	aom_codec_ctx_t aom;
	aom_codec_enc_cfg_t config;
	aom_image_t *image;
	int64_t pictures;
	struct control control;
};

static const struct { const char *name, *value; } options[] = {
	{"cpu-used", "10"}, {"aq-mode", "0"}, {"enable-tpl-model", "0"}, {"deltaq-mode", "0"}, {"enable-order-hint", "0"},
};

static int set_options(aom_codec_ctx_t *aom, const struct settings *s)
{
	int err = 0;
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		err |= aom_codec_set_option(aom, options[i].name, options[i].value);
	err |= aom_codec_control(aom, AV1E_SET_COLOR_RANGE, s->colors.full_range);
	err |= aom_codec_control(aom, AV1E_SET_COLOR_PRIMARIES, s->colors.primaries ? s->colors.primaries : 2);
	err |= aom_codec_control(aom, AV1E_SET_TRANSFER_CHARACTERISTICS, s->colors.transfer ? s->colors.transfer : 2);
	err |= aom_codec_control(aom, AV1E_SET_MATRIX_COEFFICIENTS, s->colors.matrix ? s->colors.matrix : 2);
	err |= aom_codec_control(aom, AV1E_SET_CHROMA_SAMPLE_POSITION, s->colors.location);
	return err;
}

static void *open_encoder(const struct settings *s)
{
	struct encoder *e = calloc(1, sizeof *e);
	aom_codec_iface_t *av1 = aom_codec_av1_cx();
	if (!e || strcmp(s->profile, "main") || aom_codec_enc_config_default(av1, &e->config, AOM_USAGE_REALTIME))
		goto fail;
	e->config.g_w = s->width;
	e->config.g_h = s->height;
	e->config.g_threads = 1;
	e->config.g_timebase.num = s->rate_den;
	e->config.g_timebase.den = s->rate_num;
	e->config.g_pass = AOM_RC_ONE_PASS;
	e->config.g_lag_in_frames = 0;
	e->config.kf_mode = AOM_KF_DISABLED;
	e->config.rc_end_usage = AOM_CBR;
	e->config.rc_target_bitrate = s->rate.mean / 1000;
	e->config.rc_dropframe_thresh = 0;
	e->control = (struct control){.finest = 20, .coarsest = 63, .halving = 11,
	                              .pictures_per_second = (double)s->rate_num / s->rate_den};
	control_rate(&e->control, &s->rate);
	e->image = aom_img_alloc(NULL, AOM_IMG_FMT_I420, s->width, s->height, 32);
	if (!e->image)
		goto fail;
	e->image->range = s->colors.full_range ? AOM_CR_FULL_RANGE : AOM_CR_STUDIO_RANGE;
	if (aom_codec_enc_init(&e->aom, av1, &e->config, 0))
		goto fail;
	if (set_options(&e->aom, s)) {
		aom_codec_destroy(&e->aom);
		goto fail;
	}
	return e;
fail:
	if (e && e->image)
		aom_img_free(e->image);
	free(e);
	return NULL;
}

static int set_rate(void *encoder, const struct rate *r)
{
	control_rate(&((struct encoder *)encoder)->control, r);
	return 0;
}

// Copies a picture to libaom's, which has separate planes.
static void copy(aom_image_t *to, const struct picture *p)
{
	for (unsigned y = 0; y < to->d_h; y++)
		memcpy(to->planes[0] + (size_t)y * to->stride[0], p->plane[0] + (size_t)y * p->stride[0], to->d_w);
	picture_split(p, to->planes + 1, to->stride[1], (to->d_w + 1) / 2, (to->d_h + 1) / 2);
}

static int encode(void *encoder, const struct picture *p, struct unit *u)
{
	struct encoder *e = encoder;
	copy(e->image, p);
	// Each picture is told its quantizer, because libaom does not keep to a buffer of one picture.
	e->config.rc_min_quantizer = e->config.rc_max_quantizer = control_begin(&e->control, p->key);
	if (aom_codec_enc_config_set(&e->aom, &e->config) ||
	    aom_codec_encode(&e->aom, e->image, e->pictures++, 1, p->key ? AOM_EFLAG_FORCE_KF : 0))
		return -1;
	*u = (struct unit){0};
	aom_codec_iter_t at = NULL;
	for (const aom_codec_cx_pkt_t *packet; (packet = aom_codec_get_cx_data(&e->aom, &at));) {
		if (packet->kind != AOM_CODEC_CX_FRAME_PKT)
			continue;
		if (u->data)
			return -1;
		u->data = packet->data.frame.buf;
		u->size = packet->data.frame.sz;
		u->key = !!(packet->data.frame.flags & AOM_FRAME_IS_KEY);
	}
	aom_codec_control(&e->aom, AOME_GET_LAST_QUANTIZER, &u->quantizer);
	if (!u->data)
		return -1;
	control_end(&e->control, p->key, 8.0 * u->size);
	return 0;
}

static void close_encoder(void *encoder)
{
	struct encoder *e = encoder;
	aom_codec_destroy(&e->aom);
	aom_img_free(e->image);
	free(e);
}

// A unit of padding: its type, its size in four bytes, and a bit that ends it.
static void fill(uint8_t *to, size_t size)
{
	size_t n = size - 5;
	memset(to, 0, size);
	to[0] = 15 << 3 | 2;
	for (int i = 0; i < 4; i++, n >>= 7)
		to[1 + i] = (n & 0x7f) | (i < 3 ? 0x80 : 0);
	to[size - 1] = 0x80;
}

const struct codec codec_av1 = {open_encoder, set_rate, encode, close_encoder, fill};
