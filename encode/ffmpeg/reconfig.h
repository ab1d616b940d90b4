// Changes of an open x264 that libavcodec does not offer.
#ifndef WAVRY_RECONFIG_H
#define WAVRY_RECONFIG_H

#include <libavcodec/avcodec.h>

// Sets n options, pairs of x264's names and values, from the next picture on. It fails with ENOSYS if libavcodec's
// context is another one than expected.
int wavry_x264_set(AVCodecContext *ctx, const char *const *options, int n);

// Changes the rate of an open libvpx (VP8 or VP9) from the next picture on, in bits per second. It fails with ENOSYS if
// libavcodec's context is another one than expected.
int wavry_vpx_set_rate(AVCodecContext *ctx, int64_t rate);

#endif
