// Binding of shared libraries at run time, for functions that FFmpeg calls by name. A release binary contains no libva
// and no libdrm, because both belong to the machine's driver. It loads them when they are first needed, and goes on
// without them on a machine that has none.
#ifndef BIND_H
#define BIND_H

#include <dlfcn.h>
#include <stddef.h>

// av_log is FFmpeg's. It is weak, because FFmpeg's configure script links this library without FFmpeg.
__attribute__((weak)) void av_log(void *context, int level, const char *format, ...);

// bind_open loads a library, and tells FFmpeg's log if it cannot.
static void *bind_open(const char *soname) {
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL && av_log != NULL) av_log(NULL, 16 /* AV_LOG_ERROR */, "%s\n", dlerror());
	return library;
}

// JUMP defines the function NAME, which jumps to the address in the variable slot_NAME with its arguments untouched.
#if defined(__x86_64__)
#define JUMP(name) \
	__asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" \
		"\tjmp *slot_" #name "(%rip)\n.size " #name ", .-" #name "\n");
#elif defined(__aarch64__)
#define JUMP(name) \
	__asm__(".text\n.globl " #name "\n.type " #name ", %function\n" #name ":\n" \
		"\tadrp x16, slot_" #name "\n\tldr x16, [x16, :lo12:slot_" #name "]\n\tbr x16\n.size " #name ", .-" #name "\n");
#else
#error "JUMP has no code for this architecture"
#endif

#endif
