//go:build cgo && !noffmpeg

#include "import.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/hwcontext.h>
#include <libavutil/hwcontext_drm.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>

// The longest wait for the pixels of a surface, in milliseconds.
#define READY_LIMIT 100

struct wavry_import {
	AVBufferRef *device; // a DRM device without a card: descriptors name their files themselves
	AVBufferRef *drm;    // frames that are descriptors
	AVBufferRef *mapped; // the same as frames of the encoder's device
	AVFilterGraph *graph;
	AVFilterContext *source, *sink;
	int width, height;
};

static int open_frames(struct wavry_import *im, AVBufferRef *device)
{
	im->device = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_DRM);
	if (!im->device)
		return AVERROR(ENOMEM);
	((AVDRMDeviceContext *)((AVHWDeviceContext *)im->device->data)->hwctx)->fd = -1;
	int err = av_hwdevice_ctx_init(im->device);
	if (err < 0)
		return err;
	im->drm = av_hwframe_ctx_alloc(im->device);
	if (!im->drm)
		return AVERROR(ENOMEM);
	AVHWFramesContext *frames = (AVHWFramesContext *)im->drm->data;
	frames->format = AV_PIX_FMT_DRM_PRIME;
	frames->sw_format = AV_PIX_FMT_BGR0; // the descriptors say more
	frames->width = im->width;
	frames->height = im->height;
	if ((err = av_hwframe_ctx_init(im->drm)) < 0)
		return err;
	return av_hwframe_ctx_create_derived(&im->mapped, AV_PIX_FMT_VAAPI, device, im->drm, AV_HWFRAME_MAP_READ);
}

static int open_graph(struct wavry_import *im, AVBufferRef *device, const char *options)
{
	im->graph = avfilter_graph_alloc();
	AVBufferSrcParameters *p = av_buffersrc_parameters_alloc();
	int err = AVERROR(ENOMEM);
	if (!im->graph || !p)
		goto out;
	err = AVERROR(ENOSYS);
	const AVFilter *scale = avfilter_get_by_name("scale_vaapi");
	if (!scale) {
		av_log(NULL, AV_LOG_ERROR, "this build of FFmpeg has no filter scale_vaapi\n");
		goto out;
	}
	err = AVERROR(ENOMEM);
	im->source = avfilter_graph_alloc_filter(im->graph, avfilter_get_by_name("buffer"), "in");
	im->sink = avfilter_graph_alloc_filter(im->graph, avfilter_get_by_name("buffersink"), "out");
	AVFilterContext *filter = avfilter_graph_alloc_filter(im->graph, scale, "scale");
	if (!im->source || !im->sink || !filter)
		goto out;
	p->format = AV_PIX_FMT_VAAPI;
	p->width = im->width;
	p->height = im->height;
	p->time_base = (AVRational){1, 1000000};
	p->color_space = AVCOL_SPC_RGB;
	p->color_range = AVCOL_RANGE_JPEG;
	p->hw_frames_ctx = im->mapped;
	filter->hw_device_ctx = av_buffer_ref(device);
	if ((err = av_buffersrc_parameters_set(im->source, p)) < 0 || (err = avfilter_init_str(im->source, NULL)) < 0 ||
	    (err = avfilter_init_str(im->sink, NULL)) < 0 || (err = avfilter_init_str(filter, options)) < 0 ||
	    (err = avfilter_link(im->source, 0, filter, 0)) < 0 || (err = avfilter_link(filter, 0, im->sink, 0)) < 0)
		goto out;
	err = avfilter_graph_config(im->graph, NULL);
out:
	av_free(p);
	return err;
}

int wavry_import_open(struct wavry_import **to, AVBufferRef *device, int from_width, int from_height,
                      int width, int height, const char *options)
{
	struct wavry_import *im = *to = av_mallocz(sizeof *im);
	if (!im)
		return AVERROR(ENOMEM);
	im->width = from_width;
	im->height = from_height;
	char all[512];
	snprintf(all, sizeof all, "w=%d:h=%d:%s", width, height, options);
	int err = open_frames(im, device);
	if (err >= 0)
		err = open_graph(im, device, all);
	if (err < 0)
		wavry_import_close(to);
	return err;
}

void wavry_import_close(struct wavry_import **im)
{
	if (!*im)
		return;
	avfilter_graph_free(&(*im)->graph);
	av_buffer_unref(&(*im)->mapped);
	av_buffer_unref(&(*im)->drm);
	av_buffer_unref(&(*im)->device);
	av_freep(im);
}

static void no_free(void *opaque, uint8_t *data) { (void)opaque, (void)data; }

// Returns the object of a file, which is a new one unless an earlier plane is in it.
static int object_of(AVDRMFrameDescriptor *d, const struct wavry_dmabuf *s, int plane)
{
	struct stat own, other;
	int known = fstat(s->fd[plane], &own) == 0;
	for (int i = 0; i < d->nb_objects; i++) {
		if (d->objects[i].fd == s->fd[plane])
			return i;
		if (known && fstat(d->objects[i].fd, &other) == 0 && own.st_ino == other.st_ino && own.st_dev == other.st_dev)
			return i;
	}
	off_t size = lseek(s->fd[plane], 0, SEEK_END); // a DMA-BUF says its size in no other way
	d->objects[d->nb_objects] =
		(AVDRMObjectDescriptor){.fd = s->fd[plane], .size = size > 0 ? size : 0, .format_modifier = s->modifier};
	return d->nb_objects++;
}

static int map(struct wavry_import *im, AVDRMFrameDescriptor *d, AVFrame *mapped)
{
	AVFrame *source = av_frame_alloc();
	if (!source)
		return AVERROR(ENOMEM);
	source->format = AV_PIX_FMT_DRM_PRIME;
	source->width = im->width;
	source->height = im->height;
	source->data[0] = (uint8_t *)d;
	source->buf[0] = av_buffer_create((uint8_t *)d, sizeof *d, no_free, NULL, 0);
	source->hw_frames_ctx = av_buffer_ref(im->drm);
	mapped->format = AV_PIX_FMT_VAAPI;
	mapped->hw_frames_ctx = av_buffer_ref(im->mapped);
	int err = AVERROR(ENOMEM);
	if (source->buf[0] && source->hw_frames_ctx && mapped->hw_frames_ctx)
		err = av_hwframe_map(mapped, source, AV_HWFRAME_MAP_READ);
	av_frame_free(&source);
	return err;
}

int wavry_import(struct wavry_import *im, const struct wavry_dmabuf *s, AVFrame *picture)
{
	struct pollfd ready = {.fd = s->ready, .events = POLLIN};
	if (s->ready >= 0 && poll(&ready, 1, READY_LIMIT) == 0)
		return AVERROR(ETIMEDOUT);
	AVDRMFrameDescriptor d = {.nb_layers = 1};
	d.layers[0].format = s->fourcc;
	d.layers[0].nb_planes = s->planes;
	for (int i = 0; i < s->planes; i++)
		d.layers[0].planes[i] = (AVDRMPlaneDescriptor){object_of(&d, s, i), s->offset[i], s->stride[i]};
	AVFrame *mapped = av_frame_alloc();
	if (!mapped)
		return AVERROR(ENOMEM);
	int err = map(im, &d, mapped);
	if (err >= 0) {
		mapped->colorspace = AVCOL_SPC_RGB;
		mapped->color_range = AVCOL_RANGE_JPEG;
		err = av_buffersrc_add_frame(im->source, mapped);
	}
	if (err >= 0) {
		av_frame_unref(picture);
		err = av_buffersink_get_frame(im->sink, picture);
	}
	av_frame_free(&mapped);
	return err;
}

int wavry_export(const AVFrame *picture, AVFrame **exported, struct wavry_dmabuf *to)
{
	AVFrame *frame = *exported = av_frame_alloc();
	if (!frame)
		return AVERROR(ENOMEM);
	frame->format = AV_PIX_FMT_DRM_PRIME;
	int err = av_hwframe_map(frame, picture, AV_HWFRAME_MAP_READ);
	if (err < 0)
		goto fail;
	const AVDRMFrameDescriptor *d = (const AVDRMFrameDescriptor *)frame->data[0];
	const AVDRMLayerDescriptor *layer = &d->layers[0];
	err = AVERROR(ENOSYS);
	if (d->nb_layers != 1 || layer->nb_planes > WAVRY_PLANES)
		goto fail;
	*to = (struct wavry_dmabuf){
		.width = frame->width, .height = frame->height, .fourcc = layer->format, .planes = layer->nb_planes,
		.modifier = d->objects[layer->planes[0].object_index].format_modifier, .ready = -1,
	};
	for (int i = 0; i < to->planes; i++) {
		to->fd[i] = d->objects[layer->planes[i].object_index].fd;
		to->offset[i] = layer->planes[i].offset;
		to->stride[i] = layer->planes[i].pitch;
	}
	return 0;
fail:
	av_frame_free(exported);
	return err;
}

int wavry_download(AVFrame *dst, const AVFrame *picture)
{
	int err = av_frame_make_writable(dst);
	return err < 0 ? err : av_hwframe_transfer_data(dst, picture, 0);
}
