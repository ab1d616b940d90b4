//go:build cgo

package pressure

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

// The used part of nvml.h, verbatim. NVIDIA keeps this interface stable for existing binaries: a changed function gets
// another name (_v2).

// Section "Device Structs".
typedef struct { struct nvmlDevice_st *handle; } nvmlDevice_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
// Section "Device Enums".
typedef int nvmlReturn_t;
enum { NVML_ERROR_FUNCTION_NOT_FOUND = 13 };
// Section "Constants".
enum { NVML_DEVICE_NAME_V2_BUFFER_SIZE = 96 };

// The library and its functions.
typedef struct {
	void *lib;
	// Section "Initialization and Cleanup".
	nvmlReturn_t (*start)(void);
	nvmlReturn_t (*end)(void);
	// Section "Device Queries".
	nvmlReturn_t (*count)(unsigned int *count);
	nvmlReturn_t (*card)(unsigned int index, nvmlDevice_t *card);
	// Optional functions of the library.
	nvmlReturn_t (*name)(nvmlDevice_t card, char *name, unsigned int length);
	nvmlReturn_t (*busy)(nvmlDevice_t card, nvmlUtilization_t *busy);
	nvmlReturn_t (*encoder)(nvmlDevice_t card, unsigned int *percent, unsigned int *period_us);
	nvmlReturn_t (*memory)(nvmlDevice_t card, nvmlMemory_t *memory);
	nvmlReturn_t (*sessions)(nvmlDevice_t card, unsigned int *count, unsigned int *fps, unsigned int *latency_us);
} wavry_nvml;

// Reports whether the library is loaded, or else why not. All symbols of the library are bound here, so that a missing
// one is an error here. Otherwise it would end the process during a call.
static int wavry_nvml_load(wavry_nvml *n, const char *path, char *why, size_t size) {
	n->lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (n->lib == NULL) {
		snprintf(why, size, "%s", dlerror());
		return 0;
	}
#define FIND(function, symbol) *(void **)&n->function = dlsym(n->lib, symbol)
	FIND(start, "nvmlInit_v2");
	FIND(end, "nvmlShutdown");
	FIND(count, "nvmlDeviceGetCount_v2");
	FIND(card, "nvmlDeviceGetHandleByIndex_v2");
	FIND(name, "nvmlDeviceGetName");
	FIND(busy, "nvmlDeviceGetUtilizationRates");
	FIND(encoder, "nvmlDeviceGetEncoderUtilization");
	FIND(memory, "nvmlDeviceGetMemoryInfo");
	FIND(sessions, "nvmlDeviceGetEncoderStats");
#undef FIND
	if (n->start != NULL && n->end != NULL && n->count != NULL && n->card != NULL) return 1;
	snprintf(why, size, "%s: it lacks functions that drivers have since version 319", path);
	dlclose(n->lib);
	n->lib = NULL;
	return 0;
}

static void wavry_nvml_unload(wavry_nvml *n) {
	if (n->lib != NULL) dlclose(n->lib);
	n->lib = NULL;
}

// C calls pointers to functions; Go cannot.
static nvmlReturn_t wavry_nvml_start(wavry_nvml *n) { return n->start(); }
static nvmlReturn_t wavry_nvml_end(wavry_nvml *n) { return n->end(); }
static nvmlReturn_t wavry_nvml_count(wavry_nvml *n, unsigned int *count) { return n->count(count); }
static nvmlReturn_t wavry_nvml_card(wavry_nvml *n, unsigned int i, nvmlDevice_t *card) { return n->card(i, card); }
#define CALL(function, ...) n->function == NULL ? NVML_ERROR_FUNCTION_NOT_FOUND : n->function(__VA_ARGS__)
static nvmlReturn_t wavry_nvml_name(wavry_nvml *n, nvmlDevice_t card, char *name, unsigned int length) {
	return CALL(name, card, name, length);
}
static nvmlReturn_t wavry_nvml_busy(wavry_nvml *n, nvmlDevice_t card, nvmlUtilization_t *busy) {
	return CALL(busy, card, busy);
}
static nvmlReturn_t wavry_nvml_encoder(wavry_nvml *n, nvmlDevice_t card, unsigned int *percent) {
	unsigned int period_us;
	return CALL(encoder, card, percent, &period_us);
}
static nvmlReturn_t wavry_nvml_memory(wavry_nvml *n, nvmlDevice_t card, nvmlMemory_t *memory) {
	return CALL(memory, card, memory);
}
static nvmlReturn_t wavry_nvml_sessions(wavry_nvml *n, nvmlDevice_t card, unsigned int *count) {
	unsigned int fps, latency_us;
	return CALL(sessions, card, count, &fps, &latency_us);
}
#undef CALL
*/
import "C"

import (
	"errors"
	"unsafe"
)

// libraryName is NVIDIA's library under the name that its driver installs. The loader searches its usual path.
const libraryName = "libnvidia-ml.so.1"

// nvidiaDrivers returns a driver that reads NVIDIA's cards with NVIDIA's library, which it searches at run time.
func nvidiaDrivers() []driver {
	n := &nvidia{lib: newLibrary(libraryName), power: root("/").nvidiaPower}
	return []driver{{"nvml", n.read}}
}

// library is NVML, loaded on demand: the daemon runs without it.
type library struct {
	path string
	c    *C.wavry_nvml // Go's memory, with pointers to the library's
}

var _ nvml = (*library)(nil)

func newLibrary(path string) *library { return &library{path: path, c: new(C.wavry_nvml)} }

func (l *library) load() error {
	if l.c.lib != nil {
		return nil
	}
	path := C.CString(l.path)
	defer C.free(unsafe.Pointer(path))
	var why [256]C.char
	if C.wavry_nvml_load(l.c, path, &why[0], C.size_t(len(why))) == 0 {
		return errors.New(C.GoString(&why[0]))
	}
	return nil
}

func (l *library) unload() { C.wavry_nvml_unload(l.c) }

func (l *library) start() nvmlCode { return nvmlCode(C.wavry_nvml_start(l.c)) }

func (l *library) end() nvmlCode { return nvmlCode(C.wavry_nvml_end(l.c)) }

func (l *library) count() (int, nvmlCode) {
	var n C.uint
	ret := C.wavry_nvml_count(l.c, &n)
	return int(n), nvmlCode(ret)
}

func (l *library) card(i int) (nvmlCard, nvmlCode) {
	handle := new(C.nvmlDevice_t)
	ret := C.wavry_nvml_card(l.c, C.uint(i), handle)
	return &libraryCard{l.c, *handle}, nvmlCode(ret)
}

// libraryCard is a card of a started library. Its handle belongs to the library. It may be any number: the collector
// ignores pointers to an undeclared type.
type libraryCard struct {
	c      *C.wavry_nvml
	handle C.nvmlDevice_t
}

func (c *libraryCard) name() (string, nvmlCode) {
	var name [C.NVML_DEVICE_NAME_V2_BUFFER_SIZE]C.char
	ret := C.wavry_nvml_name(c.c, c.handle, &name[0], C.uint(len(name)))
	name[len(name)-1] = 0
	return C.GoString(&name[0]), nvmlCode(ret)
}

func (c *libraryCard) busy() (uint, nvmlCode) {
	var busy C.nvmlUtilization_t
	ret := C.wavry_nvml_busy(c.c, c.handle, &busy)
	return uint(busy.gpu), nvmlCode(ret)
}

func (c *libraryCard) encoder() (uint, nvmlCode) {
	var percent C.uint
	ret := C.wavry_nvml_encoder(c.c, c.handle, &percent)
	return uint(percent), nvmlCode(ret)
}

func (c *libraryCard) memory() (used, total uint64, ret nvmlCode) {
	var memory C.nvmlMemory_t
	code := C.wavry_nvml_memory(c.c, c.handle, &memory)
	return uint64(memory.used), uint64(memory.total), nvmlCode(code)
}

func (c *libraryCard) sessions() (int, nvmlCode) {
	var n C.uint
	ret := C.wavry_nvml_sessions(c.c, c.handle, &n)
	return int(n), nvmlCode(ret)
}
