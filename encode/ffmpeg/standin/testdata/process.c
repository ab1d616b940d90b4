#include "device.h"

#include <libyuv/scale_argb.h>
#include <stdlib.h>
#include <string.h>

// The weights of red, green and blue in luma, times 1000.
static const struct weights { int r, g, b; } bt601 = {299, 587, 114}, bt709 = {213, 715, 72};

static uint8_t clip(int v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

// Converts BGRX to NV12 of limited range.
static void convert(const uint8_t *src, int stride, struct surface *to, int is709)
{
	struct weights w = is709 ? bt709 : bt601;
	for (int y = 0; y < to->height; y += 2) {
		for (int x = 0; x < to->width; x += 2) {
			int r = 0, g = 0, b = 0;
			for (int i = 0; i < 4; i++) {
				int px = x + i % 2 < to->width ? x + i % 2 : x, py = y + i / 2 < to->height ? y + i / 2 : y;
				const uint8_t *p = src + (size_t)py * stride + 4 * px;
				int luma = w.r * p[2] + w.g * p[1] + w.b * p[0];
				to->plane[0][(size_t)py * to->stride[0] + px] = clip(16 + (luma * 219 + 127500) / 255000);
				b += p[0];
				g += p[1];
				r += p[2];
			}
			int luma = w.r * r + w.g * g + w.b * b; // of four pixels, times 1000
			uint8_t *uv = to->plane[1] + (size_t)(y / 2) * to->stride[1] + x;
			uv[0] = clip((int)((1000 * b - luma) * 112.0 / (4 * 255.0 * (1000 - w.b)) + 128.5));
			uv[1] = clip((int)((1000 * r - luma) * 112.0 / (4 * 255.0 * (1000 - w.r)) + 128.5));
		}
	}
}

VAStatus process_picture(struct device *d, struct context *c)
{
	const VAProcPipelineParameterBuffer *p = &c->pipeline;
	struct surface *from = device_object(d, SURFACE, p->surface), *to = device_object(d, SURFACE, c->target);
	if (!c->has_pipeline || !from || !to || to->fourcc != VA_FOURCC_NV12 || from->fourcc == VA_FOURCC_NV12)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	VARectangle area = {0, 0, from->width, from->height};
	if (p->surface_region)
		area = *p->surface_region;
	if (area.x < 0 || area.y < 0 || area.x + area.width > from->width || area.y + area.height > from->height)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	if (p->output_color_properties.color_range == VA_SOURCE_RANGE_FULL)
		return VA_STATUS_ERROR_UNIMPLEMENTED;
	const uint8_t *src = from->plane[0] + (size_t)area.y * from->stride[0] + 4 * area.x;
	int stride = from->stride[0];
	uint8_t *scaled = NULL;
	if (area.width != to->width || area.height != to->height) {
		scaled = malloc(4 * (size_t)to->width * to->height);
		if (!scaled)
			return VA_STATUS_ERROR_ALLOCATION_FAILED;
		ARGBScale(src, stride, area.width, area.height, scaled, 4 * to->width, to->width, to->height, kFilterBox);
		src = scaled;
		stride = 4 * to->width;
	}
	// Drivers guess where nothing is said. This one guesses wrong for a desktop.
	int matrix = p->output_color_properties.matrix_coefficients;
	convert(src, stride, to, matrix != 5 && matrix != 6);
	free(scaled);
	return VA_STATUS_SUCCESS;
}
