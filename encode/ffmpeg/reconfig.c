//go:build cgo && !noffmpeg

#include "reconfig.h"

#include <stdint.h>
#include <string.h>
#include <libavutil/error.h>
#include <vpx/vpx_encoder.h>
#include <x264.h>

// The beginning of libavcodec's X264Context (libavcodec/libx264.c), which is the same in all releases of FFmpeg 7.
struct context {
	const AVClass *class;
	x264_param_t params;
	x264_t *encoder;
};

// Returns libavcodec's context of x264, or NULL if it does not look like one.
static struct context *context_of(const AVCodecContext *ctx)
{
	struct context *c = ctx->priv_data;
	if (!c || !ctx->codec || strcmp(ctx->codec->name, "libx264") || avcodec_version() >> 16 != LIBAVCODEC_VERSION_MAJOR)
		return NULL;
	const x264_param_t *p = &c->params;
	if (c->class != ctx->codec->priv_class || p->i_width != ctx->width || p->i_height != ctx->height ||
	    p->i_keyint_max != ctx->gop_size)
		return NULL;
	return c->encoder ? c : NULL;
}

int wavry_x264_set(AVCodecContext *ctx, const char *const *options, int n)
{
	struct context *c = context_of(ctx);
	if (!c)
		return AVERROR(ENOSYS);
	x264_param_t params = c->params;
	for (int i = 0; i < n; i++)
		if (x264_param_parse(&params, options[2 * i], options[2 * i + 1]))
			return AVERROR(EINVAL);
	if (x264_encoder_reconfig(c->encoder, &params))
		return AVERROR_EXTERNAL;
	c->params = params; // libavcodec hands these over when it changes the rate
	return 0;
}

// The beginning of libavcodec's VPxEncoderContext (libavcodec/libvpxenc.c), which is the same in all releases of FFmpeg 7.
struct vpx_context {
	const AVClass *class;
	struct vpx_codec_ctx encoder;
};

int wavry_vpx_set_rate(AVCodecContext *ctx, int64_t rate)
{
	struct vpx_context *c = ctx->priv_data;
	if (!c || !ctx->codec || (strcmp(ctx->codec->name, "libvpx-vp9") && strcmp(ctx->codec->name, "libvpx")) ||
	    c->class != ctx->codec->priv_class || avcodec_version() >> 16 != LIBAVCODEC_VERSION_MAJOR ||
	    !c->encoder.iface || !c->encoder.config.enc)
		return AVERROR(ENOSYS);
	vpx_codec_enc_cfg_t config = *c->encoder.config.enc;
	if (config.g_w != (unsigned)ctx->width || config.g_h != (unsigned)ctx->height || config.rc_end_usage != VPX_CBR)
		return AVERROR(ENOSYS);
	config.rc_target_bitrate = rate < 1000 ? 1 : rate / 1000;
	return vpx_codec_enc_config_set(&c->encoder, &config) == VPX_CODEC_OK ? 0 : AVERROR_EXTERNAL;
}
