// The functions of libva.so.2 and libva-drm.so.2 that FFmpeg calls. vaGetDisplayDRM makes the display that all others
// require, so it loads the libraries. A function that an old library lacks reports VA_STATUS_ERROR_UNIMPLEMENTED, which
// FFmpeg takes as such: it asks vaSyncBuffer whether it exists.
#include <pthread.h>

#include "bind.h"

static int missing_status(void) { return 0x14; } // VA_STATUS_ERROR_UNIMPLEMENTED
static void *missing_pointer(void) { return NULL; }
static const char *missing_text(void) { return "missing in this libva.so.2"; }

// vaMapBuffer2 is vaMapBuffer with a hint how the memory is used.
int vaMapBuffer(void *display, unsigned buffer, void **memory);
static int map_without_flags(void *display, unsigned buffer, void **memory) {
	return vaMapBuffer(display, buffer, memory);
}

// CALLS lists the functions of libva.so.2, and what each returns if it is missing.
#define CALLS(call) \
	call(vaMapBuffer2, map_without_flags) \
	call(vaAcquireBufferHandle, missing_status) call(vaBeginPicture, missing_status) \
	call(vaCreateBuffer, missing_status) call(vaCreateConfig, missing_status) \
	call(vaCreateContext, missing_status) call(vaCreateImage, missing_status) \
	call(vaCreateSurfaces, missing_status) call(vaDeriveImage, missing_status) \
	call(vaDestroyBuffer, missing_status) call(vaDestroyConfig, missing_status) \
	call(vaDestroyContext, missing_status) call(vaDestroyImage, missing_status) \
	call(vaDestroySurfaces, missing_status) call(vaEndPicture, missing_status) \
	call(vaEntrypointStr, missing_text) call(vaErrorStr, missing_text) \
	call(vaExportSurfaceHandle, missing_status) call(vaGetConfigAttributes, missing_status) \
	call(vaGetImage, missing_status) call(vaInitialize, missing_status) \
	call(vaMapBuffer, missing_status) call(vaMaxNumEntrypoints, missing_pointer) \
	call(vaMaxNumImageFormats, missing_pointer) call(vaMaxNumProfiles, missing_pointer) \
	call(vaProfileStr, missing_text) call(vaPutImage, missing_status) \
	call(vaQueryConfigEntrypoints, missing_status) call(vaQueryConfigProfiles, missing_status) \
	call(vaQueryImageFormats, missing_status) call(vaQuerySurfaceAttributes, missing_status) \
	call(vaQueryVendorString, missing_text) call(vaQueryVideoProcPipelineCaps, missing_status) \
	call(vaReleaseBufferHandle, missing_status) call(vaRenderPicture, missing_status) \
	call(vaSetDriverName, missing_status) call(vaSetErrorCallback, missing_pointer) \
	call(vaSetInfoCallback, missing_pointer) call(vaSyncBuffer, missing_status) \
	call(vaSyncSurface, missing_status) call(vaTerminate, missing_status) call(vaUnmapBuffer, missing_status)

#define SLOT(name, missing) __attribute__((used)) static void *slot_##name = (void *)missing;
CALLS(SLOT)
#define CODE(name, missing) JUMP(name)
CALLS(CODE)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *(*get_display)(int fd);

static void load(void) {
	void *library = bind_open("libva.so.2");
	void *drm = library != NULL ? bind_open("libva-drm.so.2") : NULL;
	if (drm == NULL) return;
#define FIND(name, missing) \
	void *found_##name = dlsym(library, #name); \
	if (found_##name != NULL) slot_##name = found_##name;
	CALLS(FIND)
	get_display = (void *(*)(int))dlsym(drm, "vaGetDisplayDRM");
}

void *vaGetDisplayDRM(int fd) {
	pthread_once(&once, load);
	return get_display != NULL ? get_display(fd) : NULL;
}
