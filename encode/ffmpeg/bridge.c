//go:build cgo && !noffmpeg

#include "bridge.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <libavutil/error.h>
#include <libavutil/hwcontext.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <libyuv/convert.h>
#include <libyuv/convert_from_argb.h>
#include <libyuv/scale_argb.h>

#include "_cgo_export.h"

static atomic_int forward_level = AV_LOG_WARNING;

// What the calling thread collects. A fixed size will do: the first lines are the ones that tell the cause.
static _Thread_local struct {
	int active;
	int level;  // what is collected: lines up to this level
	int demote; // warnings that are not collected are mere information
	size_t used;
	char text[2048];
} capture;

static void on_log(void *object, int level, const char *format, va_list args)
{
	level &= 0xff; // the bits above hold a colour
	int captured = capture.active && level <= capture.level;
	if (!captured && capture.active && capture.demote && level < AV_LOG_INFO)
		level = AV_LOG_INFO;
	if (!captured && level > atomic_load_explicit(&forward_level, memory_order_relaxed))
		return;

	char line[1024];
	if (vsnprintf(line, sizeof line, format, args) <= 0)
		return;
	if (captured) {
		size_t room = sizeof capture.text - capture.used;
		int n = snprintf(capture.text + capture.used, room, "%s", line);
		capture.used += n < (int)room ? (size_t)n : room - 1;
		return;
	}
	const AVClass *class = object ? *(AVClass **)object : NULL;
	wavryLogLine(level, class && class->item_name ? (char *)class->item_name(object) : "", line);
}

void wavry_log_install(void) { av_log_set_callback(on_log); }

void wavry_log_forward(int level) { atomic_store(&forward_level, level); }

static void capture_begin(int level, int demote)
{
	capture.active = 1;
	capture.level = level;
	capture.demote = demote;
	capture.used = 0;
	capture.text[0] = 0;
}

void wavry_log_capture_begin(int level) { capture_begin(level, 0); }

const char *wavry_log_capture_end(void)
{
	capture.active = 0;
	return capture.text;
}

int wavry_set_option(AVCodecContext *ctx, const char *name, const char *value)
{
	return av_opt_set(ctx, name, value, AV_OPT_SEARCH_CHILDREN);
}

int wavry_convert(AVFrame *dst, const uint8_t *src, int stride, int width, int height, const int *bands, int n)
{
	int err = av_frame_make_writable(dst);
	if (err < 0)
		return err;
	for (int i = 0; i < n; i++) {
		int top = bands[2 * i], bottom = bands[2 * i + 1];
		int rows = (bottom < height ? bottom : height) - top;
		const uint8_t *from = src + (size_t)top * stride;
		uint8_t *y = dst->data[0] + (size_t)top * dst->linesize[0];
		uint8_t *u = dst->data[1] + (size_t)(top / 2) * dst->linesize[1];
		switch (dst->format) {
		case AV_PIX_FMT_YUV420P:
			err = ARGBToI420(from, stride, y, dst->linesize[0], u, dst->linesize[1],
			                 dst->data[2] + (size_t)(top / 2) * dst->linesize[2], dst->linesize[2], width, rows);
			break;
		case AV_PIX_FMT_NV12:
			err = ARGBToNV12(from, stride, y, dst->linesize[0], u, dst->linesize[1], width, rows);
			break;
		default:
			return AVERROR(ENOSYS);
		}
		if (err)
			return AVERROR(EINVAL);
		if (dst->width > width) {
			for (int row = 0; row < rows; row++) {
				uint8_t *line = y + (size_t)row * dst->linesize[0];
				line[width] = line[width - 1];
			}
		}
		if (bottom > height) {
			uint8_t *last = dst->data[0] + (size_t)height * dst->linesize[0];
			memcpy(last, last - dst->linesize[0], dst->width);
		}
	}
	return 0;
}

int wavry_scale(const uint8_t *src, int src_stride, int src_width, int src_height,
                uint8_t *dst, int dst_stride, int dst_width, int dst_height, int top, int bottom)
{
	int err = ARGBScaleClip(src, src_stride, src_width, src_height, dst, dst_stride, dst_width, dst_height,
	                        0, top, dst_width, bottom - top, kFilterBox);
	return err ? AVERROR(EINVAL) : 0;
}

static int encode(AVCodecContext *ctx, AVFrame *frame, AVPacket *pkt)
{
	int err = avcodec_send_frame(ctx, frame);
	if (err < 0)
		return err;
	av_packet_unref(pkt);
	err = avcodec_receive_packet(ctx, pkt);
	return err == AVERROR(EAGAIN) ? WAVRY_HELD_BACK : err;
}

int wavry_encode(AVCodecContext *ctx, AVFrame *frame, AVPacket *pkt, int64_t pts, int key, int *quality,
                 char *why, int why_size)
{
	frame->pts = pts;
	frame->pict_type = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
	// x264 warns at each change of rate and at each picture that fills its buffer: not worth a warning here.
	capture_begin(AV_LOG_ERROR, 1);
	int err = encode(ctx, frame, pkt);
	snprintf(why, why_size, "%s", wavry_log_capture_end());
	if (err)
		return err;
	size_t size = 0;
	const uint8_t *stats = av_packet_get_side_data(pkt, AV_PKT_DATA_QUALITY_STATS, &size);
	*quality = stats && size >= 4 ? (int)AV_RL32(stats) : 0;
	return 0;
}

void wavry_device_close(AVBufferRef **device)
{
	if (!*device)
		return;
	AVHWDeviceContext *context = (AVHWDeviceContext *)(*device)->data;
	if (av_buffer_get_ref_count(*device) > 1 && context->free) {
		context->free(context);
		context->free = NULL; // if what was leaked is freed after all
	}
	av_buffer_unref(device);
}
