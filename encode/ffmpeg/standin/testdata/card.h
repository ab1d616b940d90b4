// An NVIDIA card for tests. CUDA_VISIBLE_DEVICES has the files of all cards, separated by commas; device.h lists the
// words in them. Further ones:
//
//   rate=key    a change of the rate makes a keyframe, requested or not
//   driver=old  the driver has an older interface than FFmpeg requires
#ifndef CARD_H
#define CARD_H

#include <ffnvcodec/dynlink_cuda.h>

// The context of a card. libnvidia-encode gets it as its device.
struct CUctx_st {
	CUdevice card;
	int fd;
};

#endif
