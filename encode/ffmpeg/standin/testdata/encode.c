#include "device.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

// Reads the bits of a sequence parameter set, without its emulation prevention bytes.
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

// Takes the meaning of the colors from a packed header, the only place that has it.
void encode_parameters(struct context *c, const uint8_t *data, size_t size)
{
	size_t at = 0;
	while (at + 4 < size && !(data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1 && (data[at + 3] & 31) == 7))
		at++;
	struct bits b = {0};
	int zeros = 0;
	for (at += 4; at < size && b.size < sizeof b.data; at++) {
		if (zeros >= 2 && data[at] == 3) {
			zeros = 0;
			continue;
		}
		zeros = data[at] ? 0 : zeros + 1;
		b.data[b.size++] = data[at];
	}
	unsigned profile = get(&b, 8);
	get(&b, 16); // constraints, level
	golomb(&b);
	if (profile == 100) {
		golomb(&b); // chroma format, depths
		golomb(&b);
		golomb(&b);
		get(&b, 2);
	}
	golomb(&b); // log2_max_frame_num_minus4
	unsigned order = golomb(&b);
	if (order == 0)
		golomb(&b);
	else if (order == 1)
		return; // libavcodec does not use it
	golomb(&b);
	get(&b, 1);
	golomb(&b);
	golomb(&b);
	if (!get(&b, 1))
		get(&b, 1);
	get(&b, 1);
	if (get(&b, 1))
		for (int i = 0; i < 4; i++)
			golomb(&b);
	if (!get(&b, 1)) // no VUI
		return;
	if (get(&b, 1) && get(&b, 8) == 255)
		get(&b, 32);
	if (get(&b, 1))
		get(&b, 1);
	if (get(&b, 1)) {
		get(&b, 3);
		c->color.range = get(&b, 1);
		if (get(&b, 1)) {
			c->color.primaries = get(&b, 8);
			c->color.transfer = get(&b, 8);
			c->color.matrix = get(&b, 8);
		}
	}
	if (get(&b, 1))
		c->color.location = golomb(&b);
}

static const char *const profile_names[] = {
	[VAProfileH264ConstrainedBaseline] = "baseline", [VAProfileH264Main] = "main", [VAProfileH264High] = "high",
};

static void set_rate(struct context *c, x264_param_t *p)
{
	p->rc.i_rc_method = X264_RC_ABR;
	p->rc.i_bitrate = p->rc.i_vbv_max_bitrate = c->bits_per_second / 1000;
	p->rc.i_vbv_buffer_size = (c->buffer_bits ? c->buffer_bits : c->bits_per_second) / 1000;
	p->rc.f_vbv_buffer_init = 1;
}

static VAStatus open_x264(struct context *c)
{
	const VAEncSequenceParameterBufferH264 *s = &c->sequence;
	x264_param_t *p = &c->param;
	x264_param_default_preset(p, "ultrafast", "zerolatency");
	p->i_log_level = X264_LOG_NONE;
	p->i_threads = 1;
	p->i_width = 16 * s->picture_width_in_mbs;
	p->i_height = 16 * s->picture_height_in_mbs;
	if (s->frame_cropping_flag) {
		p->i_width -= 2 * (s->frame_crop_left_offset + s->frame_crop_right_offset);
		p->i_height -= 2 * (s->frame_crop_top_offset + s->frame_crop_bottom_offset);
	}
	p->i_csp = X264_CSP_NV12;
	p->i_fps_num = c->rate_num ? c->rate_num : 30;
	p->i_fps_den = c->rate_den ? c->rate_den : 1;
	p->b_vfr_input = 0;
	p->i_keyint_max = X264_KEYINT_MAX_INFINITE;
	p->i_scenecut_threshold = 0;
	p->i_level_idc = s->level_idc;
	p->rc.i_qp_step = 20; // with the default, pictures that follow a cut of the rate take less than it
	p->b_repeat_headers = p->b_annexb = 1;
	p->vui.b_fullrange = c->color.range;
	p->vui.i_colorprim = c->color.primaries ? c->color.primaries : 2;
	p->vui.i_transfer = c->color.transfer ? c->color.transfer : 2;
	p->vui.i_colmatrix = c->color.matrix ? c->color.matrix : 2;
	p->vui.i_chroma_loc = c->color.location;
	set_rate(c, p);
	x264_param_apply_profile(p, profile_names[c->config.profile]);
	c->x264 = x264_encoder_open(p);
	c->opened_rate = c->bits_per_second;
	return c->x264 ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_OPERATION_FAILED;
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
	if (status == VA_STATUS_SUCCESS && !c->x264)
		status = open_x264(c);
	if (status != VA_STATUS_SUCCESS)
		return status;
	if (c->opened_rate != c->bits_per_second) {
		set_rate(c, &c->param);
		if (x264_encoder_reconfig(c->x264, &c->param) < 0)
			return VA_STATUS_ERROR_OPERATION_FAILED;
		c->opened_rate = c->bits_per_second;
	}
	x264_picture_t in, out;
	x264_picture_init(&in);
	in.i_pts = c->pictures++;
	in.i_type = c->picture.pic_fields.bits.idr_pic_flag ? X264_TYPE_IDR : X264_TYPE_P;
	in.img.i_csp = X264_CSP_NV12;
	in.img.i_plane = 2;
	for (int i = 0; i < 2; i++) {
		in.img.plane[i] = s->plane[i];
		in.img.i_stride[i] = s->stride[i];
	}
	x264_nal_t *nal;
	int count;
	int size = x264_encoder_encode(c->x264, &nal, &count, &in, &out);
	if (size <= 0)
		return VA_STATUS_ERROR_ENCODING_ERROR;
	size_t filler = fault_filler(d->fd, size);
	uint8_t *data = coded_buffer(d, c->picture.coded_buf, size + filler);
	if (!data)
		return VA_STATUS_ERROR_INVALID_BUFFER;
	memcpy(data, nal[0].p_payload, size); // x264 puts all units of a picture one after the other
	fault_spoil(d->fd, data, size, filler, in.i_type == X264_TYPE_IDR);
	d->pictures++;
	device_count(d);
	return VA_STATUS_SUCCESS;
}

void encode_close(struct context *c)
{
	if (c->x264)
		x264_encoder_close(c->x264);
	c->x264 = NULL;
}
