// The few calls into FFmpeg and libyuv that go-astiav does not offer, or that have to be one call per frame.
#ifndef WAVRY_BRIDGE_H
#define WAVRY_BRIDGE_H

#include <stdint.h>
#include <libavcodec/avcodec.h>
#include <libavutil/buffer.h>
#include <libavutil/frame.h>

// Installs the process-wide log callback. Lines up to the level set by wavry_log_forward go to wavryLogLine.
void wavry_log_install(void);
void wavry_log_forward(int level);
// Between these two, on one thread, lines up to that level are collected instead of forwarded.
void wavry_log_capture_begin(int level);
const char *wavry_log_capture_end(void);

// Sets an option of ctx or of its codec.
int wavry_set_option(AVCodecContext *ctx, const char *name, const char *value);

// Converts n bands of rows, each a pair of first row and row after the last, from BGRX of a size to the 4:2:0 format of dst, after
// giving dst a buffer of its own if an encoder still holds the one it has. Where dst has a column or a row more, the last one is
// repeated.
int wavry_convert(AVFrame *dst, const uint8_t *src, int stride, int width, int height, const int *bands, int n);
// Scales the rows from top up to bottom of dst, which is BGRX as src is.
int wavry_scale(const uint8_t *src, int src_stride, int src_width, int src_height,
                uint8_t *dst, int dst_stride, int dst_width, int dst_height, int top, int bottom);

// What wavry_encode returns when the encoder keeps the picture instead of giving out a packet.
#define WAVRY_HELD_BACK 1
// Sends frame and receives its packet. *quality is the encoder's own figure, 0 if it gives none. why gets the errors that
// FFmpeg logged meanwhile.
int wavry_encode(AVCodecContext *ctx, AVFrame *frame, AVPacket *pkt, int64_t pts, int key, int *quality,
                 char *why, int why_size);

// Closes a hardware device, even if references to it were leaked, and clears *device.
void wavry_device_close(AVBufferRef **device);

#endif
