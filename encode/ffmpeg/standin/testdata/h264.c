#include "codec.h"

#include <stdlib.h>
#include <string.h>
#include <x264.h>

struct encoder {
	x264_t *x264;
	x264_param_t param;
	int64_t pictures;
};

static void take_rate(x264_param_t *p, const struct rate *r)
{
	p->rc.i_rc_method = X264_RC_ABR;
	p->rc.i_bitrate = r->mean / 1000;
	p->rc.i_vbv_max_bitrate = r->peak / 1000;
	p->rc.i_vbv_buffer_size = (r->buffer ? r->buffer : r->mean) / 1000;
}

static void *open_encoder(const struct settings *s)
{
	struct encoder *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	x264_param_t *p = &e->param;
	x264_param_default_preset(p, "ultrafast", "zerolatency");
	p->i_log_level = X264_LOG_NONE;
	p->i_threads = 1;
	p->i_width = s->width;
	p->i_height = s->height;
	p->i_csp = X264_CSP_NV12;
	p->i_fps_num = s->rate_num;
	p->i_fps_den = s->rate_den;
	p->b_vfr_input = 0;
	p->i_keyint_max = X264_KEYINT_MAX_INFINITE;
	p->i_scenecut_threshold = 0;
	if (s->level)
		p->i_level_idc = s->level;
	p->rc.i_qp_step = 51; // with the default, pictures that follow a cut of the rate take less than it
	p->rc.f_vbv_buffer_init = 1;
	p->b_annexb = 1;
	p->b_repeat_headers = s->headers;
	p->vui.b_fullrange = s->colors.full_range;
	p->vui.i_colorprim = s->colors.primaries ? s->colors.primaries : 2;
	p->vui.i_transfer = s->colors.transfer ? s->colors.transfer : 2;
	p->vui.i_colmatrix = s->colors.matrix ? s->colors.matrix : 2;
	p->vui.i_chroma_loc = s->colors.location;
	take_rate(p, &s->rate);
	if (x264_param_apply_profile(p, s->profile) || !(e->x264 = x264_encoder_open(p))) {
		free(e);
		return NULL;
	}
	return e;
}

static int set_rate(void *encoder, const struct rate *r)
{
	struct encoder *e = encoder;
	take_rate(&e->param, r);
	return x264_encoder_reconfig(e->x264, &e->param) < 0 ? -1 : 0;
}

static int encode(void *encoder, const struct picture *p, struct unit *u)
{
	struct encoder *e = encoder;
	x264_picture_t in, out;
	x264_picture_init(&in);
	in.i_pts = e->pictures++;
	in.i_type = p->key ? X264_TYPE_IDR : X264_TYPE_P;
	in.img.i_csp = X264_CSP_NV12;
	in.img.i_plane = 2;
	for (int i = 0; i < 2; i++) {
		in.img.plane[i] = (uint8_t *)p->plane[i];
		in.img.i_stride[i] = p->stride[i];
	}
	x264_nal_t *nal;
	int n, size = x264_encoder_encode(e->x264, &nal, &n, &in, &out);
	if (size <= 0)
		return -1;
	// x264 puts all units of a picture one after the other.
	*u = (struct unit){.data = nal[0].p_payload, .size = size, .key = out.b_keyframe, .quantizer = out.i_qpplus1 - 1};
	return 0;
}

static void close_encoder(void *encoder)
{
	x264_encoder_close(((struct encoder *)encoder)->x264);
	free(encoder);
}

// A unit of filler data.
static void fill(uint8_t *to, size_t size)
{
	memcpy(to, "\0\0\0\1\14", 5);
	memset(to + 5, 0xff, size - 6);
	to[size - 1] = 0x80;
}

const struct codec codec_h264 = {open_encoder, set_rate, encode, close_encoder, fill};
