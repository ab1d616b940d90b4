// Takes the place of libcuda: the part of it that libavcodec's NVENC uses. libavcodec demands the other calls and does
// not make them.
#include "card.h"
#include "fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_DEVICE ((CUresult)100)
#define INVALID ((CUresult)101)

// Writes the file of a card to path, and returns the number of cards.
static int card_path(int card, char *path, size_t size)
{
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	int count = 0;
	while (list && *list) {
		size_t length = strcspn(list, ",");
		if (count++ == card)
			snprintf(path, size, "%.*s", (int)length, list);
		list += length + (list[length] == ',');
	}
	return count;
}

CUresult cuInit(unsigned flags)
{
	char path[4096];
	(void)flags;
	return card_path(-1, path, sizeof path) ? CUDA_SUCCESS : NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version)
{
	*version = 12010;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
	char path[4096];
	*count = card_path(-1, path, sizeof path);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int card)
{
	char path[4096];
	if (card < 0 || card >= card_path(-1, path, sizeof path))
		return INVALID;
	*device = card;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice card)
{
	snprintf(name, size, "Stand-in %d", card);
	return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice card)
{
	(void)card;
	*major = 8;
	*minor = 6;
	return CUDA_SUCCESS;
}

// The contexts of a thread.
static _Thread_local struct { CUcontext list[16]; int n; } stack;

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
	if (!context || stack.n == (int)(sizeof stack.list / sizeof *stack.list))
		return INVALID;
	stack.list[stack.n++] = context;
	return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
	if (!stack.n)
		return INVALID;
	*context = stack.list[--stack.n];
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice card)
{
	char path[4096];
	(void)flags;
	if (card < 0 || card >= card_path(card, path, sizeof path))
		return INVALID;
	CUcontext c = calloc(1, sizeof *c);
	if (!c)
		return CUDA_ERROR_UNKNOWN;
	c->card = card;
	c->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (c->fd < 0 || fault_set(c->fd, "lost", NULL)) {
		if (c->fd >= 0)
			close(c->fd);
		free(c);
		return CUDA_ERROR_UNKNOWN;
	}
	*context = c;
	return cuCtxPushCurrent_v2(c);
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
	close(context->fd);
	free(context);
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
	*context = stack.n ? stack.list[stack.n - 1] : NULL;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *card)
{
	if (!stack.n)
		return INVALID;
	*card = stack.list[stack.n - 1]->card;
	return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
	*name = error == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN";
	return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
	*text = error == NO_DEVICE ? "no CUDA-capable device is detected" : "unknown error";
	return CUDA_SUCCESS;
}

#define UNUSED(name) \
	CUresult name(void) { return CUDA_ERROR_UNKNOWN; }

UNUSED(cuDeviceGetAttribute)
UNUSED(cuCtxSetLimit)
UNUSED(cuMemAlloc_v2)
UNUSED(cuMemAllocPitch_v2)
UNUSED(cuMemAllocManaged)
UNUSED(cuMemsetD8Async)
UNUSED(cuMemFree_v2)
UNUSED(cuMemcpy)
UNUSED(cuMemcpyAsync)
UNUSED(cuMemcpy2D_v2)
UNUSED(cuMemcpy2DAsync_v2)
UNUSED(cuMemcpyHtoD_v2)
UNUSED(cuMemcpyHtoDAsync_v2)
UNUSED(cuMemcpyDtoH_v2)
UNUSED(cuMemcpyDtoHAsync_v2)
UNUSED(cuMemcpyDtoD_v2)
UNUSED(cuMemcpyDtoDAsync_v2)
UNUSED(cuDevicePrimaryCtxRetain)
UNUSED(cuDevicePrimaryCtxRelease)
UNUSED(cuDevicePrimaryCtxSetFlags)
UNUSED(cuDevicePrimaryCtxGetState)
UNUSED(cuDevicePrimaryCtxReset)
UNUSED(cuStreamCreate)
UNUSED(cuStreamQuery)
UNUSED(cuStreamSynchronize)
UNUSED(cuStreamDestroy_v2)
UNUSED(cuStreamAddCallback)
UNUSED(cuStreamWaitEvent)
UNUSED(cuEventCreate)
UNUSED(cuEventDestroy_v2)
UNUSED(cuEventSynchronize)
UNUSED(cuEventQuery)
UNUSED(cuEventRecord)
UNUSED(cuLaunchKernel)
UNUSED(cuLinkCreate)
UNUSED(cuLinkAddData)
UNUSED(cuLinkComplete)
UNUSED(cuLinkDestroy)
UNUSED(cuModuleLoadData)
UNUSED(cuModuleUnload)
UNUSED(cuModuleGetFunction)
UNUSED(cuModuleGetGlobal)
UNUSED(cuTexObjectCreate)
UNUSED(cuTexObjectDestroy)
UNUSED(cuGLGetDevices_v2)
UNUSED(cuGraphicsGLRegisterImage)
UNUSED(cuGraphicsUnregisterResource)
UNUSED(cuGraphicsMapResources)
UNUSED(cuGraphicsUnmapResources)
UNUSED(cuGraphicsSubResourceGetMappedArray)
UNUSED(cuGraphicsResourceGetMappedPointer_v2)
UNUSED(cuArrayCreate_v2)
UNUSED(cuArray3DCreate_v2)
UNUSED(cuArrayDestroy)
