// Surfaces of other programs as pictures for encoders on VAAPI devices. go-astiav has no descriptors of DMA-BUFs.
#ifndef WAVRY_IMPORT_H
#define WAVRY_IMPORT_H

#include <stdint.h>
#include <libavutil/buffer.h>
#include <libavutil/frame.h>

#define WAVRY_PLANES 4

// A picture in DMA-BUFs, as capture.DMABuf.
struct wavry_dmabuf {
	int width, height;
	uint32_t fourcc;
	uint64_t modifier;
	int ready;
	int planes;
	int fd[WAVRY_PLANES];
	uint32_t offset[WAVRY_PLANES], stride[WAVRY_PLANES];
};

struct wavry_import;

// Prepares the device for surfaces of a size, whose pixels it scales and converts to NV12 of another size.
int wavry_import_open(struct wavry_import **im, AVBufferRef *device, int from_width, int from_height,
                      int width, int height, const char *options);
// Makes a picture on the device of a surface. The surface may be released afterwards, and written to once the picture is
// encoded.
int wavry_import(struct wavry_import *im, const struct wavry_dmabuf *surface, AVFrame *picture);
// Frees *im and clears it.
void wavry_import_close(struct wavry_import **im);

// Hands a picture on the device to other programs. The files are those of *exported, which the caller must free.
int wavry_export(const AVFrame *picture, AVFrame **exported, struct wavry_dmabuf *to);

// Writes a picture on the device to main memory, as pictures for upload are.
int wavry_download(AVFrame *dst, const AVFrame *picture);

#endif
