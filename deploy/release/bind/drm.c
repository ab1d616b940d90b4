// The functions of libdrm.so.2 that FFmpeg calls, with the results that report failure if there is no such library.
#include <errno.h>
#include <pthread.h>

#include "bind.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *library;

static void load(void) { library = bind_open("libdrm.so.2"); }

static void *find(const char *name) {
	pthread_once(&once, load);
	return library != NULL ? dlsym(library, name) : NULL;
}

void *drmGetVersion(int fd) {
	void *(*f)(int) = (void *(*)(int))find("drmGetVersion");
	return f != NULL ? f(fd) : NULL;
}

void drmFreeVersion(void *version) {
	void (*f)(void *) = (void (*)(void *))find("drmFreeVersion");
	if (f != NULL) f(version);
}

int drmGetDevice(int fd, void **device) {
	int (*f)(int, void **) = (int (*)(int, void **))find("drmGetDevice");
	return f != NULL ? f(fd, device) : -ENOSYS;
}

void drmFreeDevice(void **device) {
	void (*f)(void **) = (void (*)(void **))find("drmFreeDevice");
	if (f != NULL) f(device);
}

int drmGetNodeTypeFromFd(int fd) {
	int (*f)(int) = (int (*)(int))find("drmGetNodeTypeFromFd");
	return f != NULL ? f(fd) : -1;
}

char *drmGetRenderDeviceNameFromFd(int fd) {
	char *(*f)(int) = (char *(*)(int))find("drmGetRenderDeviceNameFromFd");
	return f != NULL ? f(fd) : NULL;
}
