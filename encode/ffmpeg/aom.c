//go:build cgo && !noffmpeg

#include "aom.h"

#include <stdio.h>
#include <stdlib.h>
#include <aom/aom_encoder.h>
#include <aom/aomcx.h>

struct wavry_aom {
	aom_codec_ctx_t codec;
	aom_codec_enc_cfg_t config;
	int intra_percent; // in force
};

// Writes what failed, with libaom's words.
static void explain(char *why, int size, const char *what, aom_codec_ctx_t *codec)
{
	const char *detail = aom_codec_error_detail(codec);
	snprintf(why, size, "%s: %s%s%s", what, aom_codec_error(codec), detail ? ": " : "", detail ? detail : "");
}

static unsigned kilobits(int64_t rate) { return rate < 1000 ? 1 : (unsigned)(rate / 1000); }

wavry_aom *wavry_aom_open(int width, int height, int threads, int64_t rate, int buffer_ms, int finest,
                          const char *const *options, int n, char *why, int why_size)
{
	wavry_aom *a = calloc(1, sizeof *a);
	if (!a) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	aom_codec_iface_t *interface = aom_codec_av1_cx();
	aom_codec_err_t err = aom_codec_enc_config_default(interface, &a->config, AOM_USAGE_REALTIME);
	if (err) {
		snprintf(why, why_size, "configure libaom: %s", aom_codec_err_to_string(err));
		free(a);
		return NULL;
	}
	a->config.g_w = width;
	a->config.g_h = height;
	a->config.g_threads = threads;
	a->config.g_timebase.num = 1;
	a->config.g_timebase.den = WAVRY_AOM_CLOCK;
	a->config.g_pass = AOM_RC_ONE_PASS;
	a->config.g_lag_in_frames = 0;
	a->config.kf_mode = AOM_KF_DISABLED; // on request only
	a->config.rc_end_usage = AOM_CBR;
	a->config.rc_target_bitrate = kilobits(rate);
	a->config.rc_buf_sz = buffer_ms;
	a->config.rc_buf_initial_sz = a->config.rc_buf_optimal_sz = buffer_ms * 2 / 3;
	a->config.rc_undershoot_pct = a->config.rc_overshoot_pct = 50;
	a->config.rc_min_quantizer = finest;
	a->config.rc_dropframe_thresh = 0; // each call returns a picture
	err = aom_codec_enc_init(&a->codec, interface, &a->config, 0);
	if (err) {
		explain(why, why_size, "open libaom", &a->codec);
		free(a);
		return NULL;
	}
	for (int i = 0; i < n && !err; i++) {
		err = aom_codec_set_option(&a->codec, options[2 * i], options[2 * i + 1]);
		if (err)
			explain(why, why_size, options[2 * i], &a->codec);
	}
	// The meaning of the pictures' numbers is libyuv's: BT.601, limited range, and sRGB's primaries and curve.
	if (!err && ((err = aom_codec_control(&a->codec, AV1E_SET_COLOR_RANGE, AOM_CR_STUDIO_RANGE)) ||
	             (err = aom_codec_control(&a->codec, AV1E_SET_MATRIX_COEFFICIENTS, AOM_CICP_MC_BT_601)) ||
	             (err = aom_codec_control(&a->codec, AV1E_SET_COLOR_PRIMARIES, AOM_CICP_CP_BT_709)) ||
	             (err = aom_codec_control(&a->codec, AV1E_SET_TRANSFER_CHARACTERISTICS, AOM_CICP_TC_SRGB))))
		explain(why, why_size, "state the colors", &a->codec);
	if (err) {
		wavry_aom_close(a);
		return NULL;
	}
	return a;
}

int wavry_aom_encode(wavry_aom *a, const AVFrame *picture, int64_t pts, int64_t duration, int key, int intra_percent,
                     wavry_aom_unit *unit, char *why, int why_size)
{
	aom_image_t image;
	if (!aom_img_wrap(&image, AOM_IMG_FMT_I420, a->config.g_w, a->config.g_h, 1, picture->data[0])) {
		snprintf(why, why_size, "the picture has no place");
		return -1;
	}
	for (int plane = 0; plane < 3; plane++) {
		image.planes[plane] = picture->data[plane];
		image.stride[plane] = picture->linesize[plane];
	}
	image.range = AOM_CR_STUDIO_RANGE;
	if (intra_percent != a->intra_percent) {
		if (aom_codec_control(&a->codec, AOME_SET_MAX_INTRA_BITRATE_PCT, (unsigned)intra_percent)) {
			explain(why, why_size, "limit keyframes", &a->codec);
			return -1;
		}
		a->intra_percent = intra_percent;
	}
	if (aom_codec_encode(&a->codec, &image, pts, (unsigned long)duration, key ? AOM_EFLAG_FORCE_KF : 0)) {
		explain(why, why_size, "encode", &a->codec);
		return -1;
	}
	unit->data = NULL;
	aom_codec_iter_t iterator = NULL;
	for (const aom_codec_cx_pkt_t *packet; (packet = aom_codec_get_cx_data(&a->codec, &iterator));) {
		if (packet->kind != AOM_CODEC_CX_FRAME_PKT)
			continue;
		if (unit->data) {
			snprintf(why, why_size, "libaom made two pictures of one");
			return -1;
		}
		unit->data = packet->data.frame.buf;
		unit->size = (int)packet->data.frame.sz;
		unit->key = !!(packet->data.frame.flags & AOM_FRAME_IS_KEY);
	}
	if (!unit->data) {
		snprintf(why, why_size, "libaom holds frames back");
		return -1;
	}
	unit->quantizer = 0;
	aom_codec_control(&a->codec, AOME_GET_LAST_QUANTIZER_64, &unit->quantizer);
	return 0;
}

int wavry_aom_set_rate(wavry_aom *a, int64_t rate)
{
	a->config.rc_target_bitrate = kilobits(rate);
	return aom_codec_enc_config_set(&a->codec, &a->config);
}

void wavry_aom_close(wavry_aom *a)
{
	if (!a)
		return;
	aom_codec_destroy(&a->codec);
	free(a);
}
