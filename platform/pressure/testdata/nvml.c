// A libnvidia-ml.so.1 for tests, with a card that tells all, one that tells nothing and one that is lost. It is compiled with
//   -DFAIL="call" -DCODE=n   that call returns n
//   -DHANG="file"            the encoder's use is not told while the file exists
//   -DLACKS_COUNT, -DLACKS_STATS, -DUNRESOLVED   as drivers that are old, older, and broken
#include <string.h>
#include <unistd.h>

#ifndef FAIL
#define FAIL ""
#define CODE 0
#endif

enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, GPU_IS_LOST = 15 };

struct nvmlDevice_st { int tells; };
typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;

static struct nvmlDevice_st devices[] = {{1}, {0}};
static int started;

#ifdef UNRESOLVED
int nvml_test_symbol_of_nobody(void);
int nvmlUnresolved(void) { return nvml_test_symbol_of_nobody(); }
#endif

static int check(const char *call) {
	if (strcmp(call, FAIL) == 0) return CODE;
	return started ? 0 : UNINITIALIZED;
}

static int check_device(const char *call, nvmlDevice_t d) {
	if (d != &devices[0] && d != &devices[1]) return INVALID_ARGUMENT;
	int code = check(call);
	return code ? code : d->tells ? 0 : NOT_SUPPORTED;
}

int nvmlInit_v2(void) {
	started++;
	int code = check(__func__);
	if (code) started--;
	return code;
}

int nvmlShutdown(void) {
	int code = check(__func__);
	if (!code) started--;
	return code;
}

#ifndef LACKS_COUNT
int nvmlDeviceGetCount_v2(unsigned int *count) {
	*count = 3;
	return check(__func__);
}
#endif

int nvmlDeviceGetHandleByIndex_v2(unsigned int i, nvmlDevice_t *d) {
	*d = i < 2 ? &devices[i] : (nvmlDevice_t)1;
	return i < 2 ? check(__func__) : GPU_IS_LOST;
}

int nvmlDeviceGetName(nvmlDevice_t d, char *name, unsigned int length) {
	memset(name, 'x', length); // a text without its end
	if (d == &devices[0]) strncpy(name, "NVIDIA Test", length);
	return d == &devices[1] ? 0 : check_device(__func__, d);
}

int nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *u) {
	*u = (nvmlUtilization_t){41, 9};
	return check_device(__func__, d);
}

int nvmlDeviceGetEncoderUtilization(nvmlDevice_t d, unsigned int *percent, unsigned int *period_us) {
#ifdef HANG
	while (access(HANG, F_OK) == 0) usleep(10000);
#endif
	*percent = 87;
	*period_us = 167000;
	return check_device(__func__, d);
}

int nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m) {
	*m = (nvmlMemory_t){24ULL << 30, 21ULL << 30, 3ULL << 30};
	return check_device(__func__, d);
}

#ifndef LACKS_STATS
int nvmlDeviceGetEncoderStats(nvmlDevice_t d, unsigned int *sessions, unsigned int *fps, unsigned int *latency_us) {
	*sessions = 5;
	*fps = 60;
	*latency_us = 900;
	return check_device(__func__, d);
}
#endif
