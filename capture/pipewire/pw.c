//go:build linux && cgo

#define _GNU_SOURCE
#include "pw.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// spa/utils/list.h, spa/utils/hook.h
struct spa_list { struct spa_list *next, *prev; };
struct spa_callbacks { const void *funcs; void *data; };
struct spa_interface { const char *type; uint32_t version; struct spa_callbacks cb; };
struct spa_hook {
	struct spa_list link;
	struct spa_callbacks cb;
	void (*removed)(struct spa_hook *hook);
	void *priv;
};

// spa/buffer/buffer.h, spa/buffer/meta.h
enum { SPA_DATA_MemPtr = 1, SPA_DATA_MemFd = 2, SPA_CHUNK_FLAG_CORRUPTED = 1 };
enum { SPA_META_Header = 1, SPA_META_VideoDamage = 3, SPA_META_HEADER_FLAG_CORRUPTED = 2 };
struct spa_chunk { uint32_t offset, size; int32_t stride, flags; };
struct spa_data {
	uint32_t type, flags;
	int64_t fd;
	uint32_t mapoffset, maxsize;
	void *data;
	struct spa_chunk *chunk;
};
struct spa_meta { uint32_t type, size; void *data; };
struct spa_buffer { uint32_t n_metas, n_datas; struct spa_meta *metas; struct spa_data *datas; };
struct spa_meta_header { uint32_t flags, offset; int64_t pts, dts_offset; uint64_t seq; };
struct spa_region { int32_t x, y; uint32_t width, height; };

// spa/pod/pod.h, spa/param/param.h
struct spa_pod { uint32_t size, type; };
enum { SPA_PARAM_Format = 4 };

// pipewire/stream.h, pipewire/core.h. Only the events up to those in use are declared: a version of 0 says that there
// are no more than those of the first version.
struct pw_buffer { struct spa_buffer *buffer; void *user_data; uint64_t size, requested; };
enum { PW_DIRECTION_INPUT = 0, PW_STREAM_FLAG_AUTOCONNECT = 1 << 0, PW_STREAM_FLAG_DONT_RECONNECT = 1 << 7 };
struct pw_stream_events {
	uint32_t version;
	void (*destroy)(void *data);
	void (*state_changed)(void *data, int32_t old, int32_t state, const char *error);
	void (*control_info)(void *data, uint32_t id, const void *control);
	void (*io_changed)(void *data, uint32_t id, void *area, uint32_t size);
	void (*param_changed)(void *data, uint32_t id, const struct spa_pod *param);
	void (*add_buffer)(void *data, struct pw_buffer *buffer);
	void (*remove_buffer)(void *data, struct pw_buffer *buffer);
	void (*process)(void *data);
	void (*drained)(void *data);
};
struct pw_core_events {
	uint32_t version;
	void (*info)(void *data, const void *info);
	void (*done)(void *data, uint32_t id, int seq);
	void (*ping)(void *data, uint32_t id, int seq);
	void (*error)(void *data, uint32_t id, int seq, int res, const char *message);
	void (*remove_id)(void *data, uint32_t id);
	void (*bound_id)(void *data, uint32_t id, uint32_t global_id);
	void (*add_mem)(void *data, uint32_t id, uint32_t type, int fd, uint32_t flags);
	void (*remove_mem)(void *data, uint32_t id);
};
struct pw_core_methods {
	uint32_t version;
	int (*add_listener)(void *object, struct spa_hook *listener, const struct pw_core_events *events, void *data);
	int (*hello)(void *object, uint32_t version);
	int (*sync)(void *object, uint32_t id, int seq);
	int (*pong)(void *object, uint32_t id, int seq);
	int (*error)(void *object, uint32_t id, int seq, int res, const char *message);
	void *(*get_registry)(void *object, uint32_t version, size_t user_data_size);
};
struct pw_registry_events {
	uint32_t version;
	void (*global)(void *data, uint32_t id, uint32_t permissions, const char *type, uint32_t version, const void *props);
	void (*global_remove)(void *data, uint32_t id);
};
struct pw_registry_methods {
	uint32_t version;
	int (*add_listener)(void *object, struct spa_hook *listener, const struct pw_registry_events *events, void *data);
};
enum { PW_VERSION_REGISTRY = 3, PW_ID_CORE = 0 };

// The functions of the library.
static struct {
	void (*pw_init)(int *argc, char ***argv);
	const char *(*pw_get_library_version)(void);
	void *(*pw_thread_loop_new)(const char *name, const void *props);
	void (*pw_thread_loop_destroy)(void *loop);
	void *(*pw_thread_loop_get_loop)(void *loop);
	int (*pw_thread_loop_start)(void *loop);
	void (*pw_thread_loop_stop)(void *loop);
	void (*pw_thread_loop_lock)(void *loop);
	void (*pw_thread_loop_unlock)(void *loop);
	void *(*pw_properties_new_string)(const char *args);
	void *(*pw_context_new)(void *loop, void *props, size_t user_data_size);
	void (*pw_context_destroy)(void *context);
	void *(*pw_context_connect_fd)(void *context, int fd, void *properties, size_t user_data_size);
	int (*pw_core_disconnect)(void *core);
	void (*pw_proxy_destroy)(void *proxy);
	void *(*pw_stream_new)(void *core, const char *name, void *props);
	void (*pw_stream_destroy)(void *stream);
	void (*pw_stream_add_listener)(void *stream, struct spa_hook *listener, const struct pw_stream_events *events,
		void *data);
	int (*pw_stream_connect)(void *stream, uint32_t direction, uint32_t target, uint32_t flags,
		const struct spa_pod **params, uint32_t n_params);
	int (*pw_stream_update_params)(void *stream, const struct spa_pod **params, uint32_t n_params);
	struct pw_buffer *(*pw_stream_dequeue_buffer)(void *stream);
	int (*pw_stream_queue_buffer)(void *stream, struct pw_buffer *buffer);
} pw;

static char load_error[WAVRY_TEXT];
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static void *library;

// Loads the library. All its symbols are bound here, so that a missing one is an error here and not in a call. The
// library is never unloaded: its threads and those of its plugins may outlive its streams.
const char *wavry_pw_load(const char *path) {
	pthread_mutex_lock(&loading);
	const char *why = NULL;
	if (library != NULL) goto out;
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (lib == NULL) {
		snprintf(load_error, sizeof(load_error), "%s", dlerror());
		why = load_error;
		goto out;
	}
#define FIND(function) \
	*(void **)&pw.function = dlsym(lib, #function); \
	if (pw.function == NULL) { \
		snprintf(load_error, sizeof(load_error), "%s has no function " #function, path); \
		why = load_error; \
		goto out; \
	}
	FIND(pw_init)
	FIND(pw_get_library_version)
	FIND(pw_thread_loop_new)
	FIND(pw_thread_loop_destroy)
	FIND(pw_thread_loop_get_loop)
	FIND(pw_thread_loop_start)
	FIND(pw_thread_loop_stop)
	FIND(pw_thread_loop_lock)
	FIND(pw_thread_loop_unlock)
	FIND(pw_properties_new_string)
	FIND(pw_context_new)
	FIND(pw_context_destroy)
	FIND(pw_context_connect_fd)
	FIND(pw_core_disconnect)
	FIND(pw_proxy_destroy)
	FIND(pw_stream_new)
	FIND(pw_stream_destroy)
	FIND(pw_stream_add_listener)
	FIND(pw_stream_connect)
	FIND(pw_stream_update_params)
	FIND(pw_stream_dequeue_buffer)
	FIND(pw_stream_queue_buffer)
#undef FIND
	pw.pw_init(NULL, NULL);
	library = lib;
out:
	pthread_mutex_unlock(&loading);
	return why;
}

const char *wavry_pw_version(void) { return pw.pw_get_library_version(); }

// Memory of a buffer. It stays mapped while the stream or a picture needs it.
typedef struct {
	void *address;
	size_t size;
	atomic_int refs;
} mapping;

static void unref(mapping *m) {
	if (m == NULL || atomic_fetch_sub(&m->refs, 1) != 1) return;
	munmap(m->address, m->size);
	free(m);
}

void wavry_pw_unmap(void *m) { unref(m); }

// A buffer of the stream.
typedef struct {
	struct pw_buffer *buffer; // NULL when there is none
	uint32_t generation;      // rises with each buffer in this place
	mapping *map;             // NULL when its data must be copied
	uint32_t type;
	uint64_t start, length; // of the data: in the mapping or the file, and as far as it can be read
} slot;

// What changed.
typedef struct {
	int32_t whole, count;
	int32_t areas[WAVRY_DAMAGE][4];
} changes;

struct wavry_stream {
	void *loop, *context, *core, *registry, *stream;
	struct spa_hook core_hook, registry_hook, stream_hook;
	int wake;
	uint32_t node;
	uint8_t *answer; // the PODs for buffers
	uint32_t answers;

	// The loop's lock guards the following fields.
	slot slots[WAVRY_SLOTS];
	int32_t buffers;
	wavry_picture pending;
	changes carry; // of pictures that were dropped
	int32_t state, failure;
	char text[WAVRY_TEXT];
	uint64_t pongs, format, dropped;
	uint32_t pod;
	uint8_t pods[WAVRY_POD];
};

static void wake(wavry_stream *s) {
	uint64_t one = 1;
	if (write(s->wake, &one, sizeof(one)) < 0) return; // it is awake already
}

static void fail(wavry_stream *s, int failure, const char *text) {
	if (s->failure != 0) return;
	s->failure = failure;
	snprintf(s->text, sizeof(s->text), "%s", text != NULL ? text : strerror(failure));
	wake(s);
}

static void add(changes *c, const int32_t *area) {
	if (c->whole) return;
	if (c->count == WAVRY_DAMAGE) {
		c->whole = 1;
		return;
	}
	memcpy(c->areas[c->count++], area, sizeof(c->areas[0]));
}

// Adds what a buffer says that it changed. Shared memory is read once: the producer may change it at any time.
static void read_damage(const struct spa_buffer *b, changes *c) {
	for (uint32_t i = 0; i < b->n_metas; i++) {
		const struct spa_meta *m = &b->metas[i];
		if (m->type != SPA_META_VideoDamage || m->data == NULL) continue;
		const volatile struct spa_region *r = m->data;
		uint32_t n = m->size / sizeof(*r), seen = 0;
		for (uint32_t k = 0; k < n; k++) {
			int32_t area[4] = {r[k].x, r[k].y, (int32_t)r[k].width, (int32_t)r[k].height};
			if (area[2] == 0 || area[3] == 0) break;
			add(c, area);
			seen++;
		}
		if (seen == 0) c->whole = 1; // a picture without damage did not say what changed
		return;
	}
	c->whole = 1;
}

static int corrupted(const struct spa_buffer *b) {
	for (uint32_t i = 0; i < b->n_metas; i++) {
		const struct spa_meta *m = &b->metas[i];
		if (m->type == SPA_META_Header && m->data != NULL && m->size >= sizeof(struct spa_meta_header))
			return (((volatile struct spa_meta_header *)m->data)->flags & SPA_META_HEADER_FLAG_CORRUPTED) != 0;
	}
	return 0;
}

static int32_t find(wavry_stream *s, const struct pw_buffer *b) {
	for (int32_t i = 0; i < WAVRY_SLOTS; i++)
		if (s->slots[i].buffer == b) return i;
	return -1;
}

static void drop_pending(wavry_stream *s) {
	wavry_picture *p = &s->pending;
	if (p->slot < 0) return;
	if (p->whole) s->carry.whole = 1;
	for (int32_t i = 0; i < p->damages; i++) add(&s->carry, p->damage[i]);
	if (s->slots[p->slot].buffer != NULL) pw.pw_stream_queue_buffer(s->stream, s->slots[p->slot].buffer);
	p->slot = -1;
}

static void on_process(void *data) {
	wavry_stream *s = data;
	struct pw_buffer *b;
	while ((b = pw.pw_stream_dequeue_buffer(s->stream)) != NULL) {
		int32_t i = find(s, b);
		const struct spa_buffer *buffer = b->buffer;
		if (i < 0 || buffer->n_datas < 1 || buffer->datas[0].chunk == NULL) {
			s->carry.whole = 1;
			s->dropped++;
			pw.pw_stream_queue_buffer(s->stream, b);
			continue;
		}
		const volatile struct spa_chunk *chunk = buffer->datas[0].chunk;
		uint32_t offset = chunk->offset, size = chunk->size;
		int32_t stride = chunk->stride, flags = chunk->flags;
		changes c = {0};
		read_damage(buffer, &c);
		if (size == 0 || (flags & SPA_CHUNK_FLAG_CORRUPTED) || corrupted(buffer)) {
			if (c.whole) s->carry.whole = 1;
			for (int32_t k = 0; k < c.count; k++) add(&s->carry, c.areas[k]);
			s->dropped++;
			pw.pw_stream_queue_buffer(s->stream, b);
			continue;
		}
		drop_pending(s); // the newest picture wins
		if (s->carry.whole) c.whole = 1;
		for (int32_t k = 0; k < s->carry.count; k++) add(&c, s->carry.areas[k]);
		memset(&s->carry, 0, sizeof(s->carry));
		slot *t = &s->slots[i];
		s->pending = (wavry_picture){
			.slot = i, .generation = t->generation, .length = t->length, .offset = offset, .size = size, .stride = stride,
			.address = t->map != NULL ? (uint8_t *)t->map->address + t->start : NULL, .format = s->format,
			.whole = c.whole, .damages = c.whole ? 0 : c.count,
		};
		memcpy(s->pending.damage, c.areas, sizeof(c.areas));
	}
	wake(s);
}

// Maps a buffer's file, if the producer cannot shorten it: reading beyond its end would end the process.
static mapping *map_file(int fd, uint64_t start, uint64_t length) {
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK)) return NULL;
	mapping *m = calloc(1, sizeof(*m));
	if (m == NULL) return NULL;
	m->size = start + length;
	m->address = mmap(NULL, m->size, PROT_READ, MAP_SHARED, fd, 0);
	if (m->address == MAP_FAILED) {
		free(m);
		return NULL;
	}
	atomic_init(&m->refs, 1);
	return m;
}

static void on_add_buffer(void *data, struct pw_buffer *b) {
	wavry_stream *s = data;
	int32_t i = find(s, NULL);
	if (i < 0) return;
	slot *t = &s->slots[i];
	t->buffer = b;
	t->generation++;
	t->map = NULL;
	t->type = t->start = t->length = 0;
	s->buffers++;
	if (b->buffer->n_datas < 1) return;
	const struct spa_data *d = &b->buffer->datas[0];
	t->type = d->type;
	if (d->type == SPA_DATA_MemPtr && d->data != NULL) t->length = d->maxsize;
	struct stat info;
	if (d->type == SPA_DATA_MemFd && fstat(d->fd, &info) == 0 && (uint64_t)info.st_size > d->mapoffset) {
		t->start = d->mapoffset;
		t->length = d->maxsize;
		if (t->length > (uint64_t)info.st_size - t->start) t->length = (uint64_t)info.st_size - t->start;
		if (t->length > 0) t->map = map_file(d->fd, t->start, t->length);
	}
}

static void on_remove_buffer(void *data, struct pw_buffer *b) {
	wavry_stream *s = data;
	int32_t i = find(s, b);
	if (i < 0) return;
	slot *t = &s->slots[i];
	t->buffer = NULL;
	s->buffers--;
	if (s->pending.slot == i) {
		s->carry.whole = 1;
		s->pending.slot = -1;
	}
	unref(t->map);
	t->map = NULL;
}

// Calls use with the PODs of a list.
static int with_pods(wavry_stream *s, const uint8_t *bytes, uint32_t size,
	int (*use)(wavry_stream *s, const struct spa_pod **pods, uint32_t n)) {
	const struct spa_pod *pods[16];
	uint32_t n = 0;
	for (uint32_t at = 0; at + sizeof(struct spa_pod) <= size && n < 16;) {
		const struct spa_pod *pod = (const struct spa_pod *)(bytes + at);
		pods[n++] = pod;
		at += (sizeof(*pod) + pod->size + 7) & ~7u;
	}
	return use(s, pods, n);
}

static int use_buffers(wavry_stream *s, const struct spa_pod **pods, uint32_t n) {
	return pw.pw_stream_update_params(s->stream, pods, n);
}

static int use_formats(wavry_stream *s, const struct spa_pod **pods, uint32_t n) {
	return pw.pw_stream_connect(s->stream, PW_DIRECTION_INPUT, s->node,
		PW_STREAM_FLAG_AUTOCONNECT | PW_STREAM_FLAG_DONT_RECONNECT, pods, n);
}

static void on_param_changed(void *data, uint32_t id, const struct spa_pod *param) {
	wavry_stream *s = data;
	if (id != SPA_PARAM_Format || param == NULL) return;
	uint64_t size = sizeof(*param) + (uint64_t)param->size;
	if (size > sizeof(s->pods)) {
		fail(s, EMSGSIZE, "the description of the format is too long");
		return;
	}
	memcpy(s->pods, param, size);
	s->pod = (uint32_t)size;
	s->format++;
	s->carry.whole = 1;
	int res = with_pods(s, s->answer, s->answers, use_buffers);
	if (res < 0) fail(s, -res, "cannot ask for buffers");
	wake(s);
}

static void on_state_changed(void *data, int32_t old, int32_t state, const char *error) {
	wavry_stream *s = data;
	(void)old;
	s->state = state;
	if (state == WAVRY_ERROR) fail(s, EIO, error);
	wake(s);
}

static void on_done(void *data, uint32_t id, int seq) {
	wavry_stream *s = data;
	(void)seq;
	if (id != PW_ID_CORE) return;
	s->pongs++;
	wake(s);
}

static void on_error(void *data, uint32_t id, int seq, int res, const char *message) {
	(void)seq;
	// An error of another object shows as a state of the stream, if it matters.
	if (id == PW_ID_CORE) fail(data, res < 0 ? -res : EIO, message);
}

static void on_global_remove(void *data, uint32_t id) {
	wavry_stream *s = data;
	if (id == s->node) fail(s, ENODEV, "its source has ended");
}

static const struct pw_core_events core_events = {.done = on_done, .error = on_error};
static const struct pw_registry_events registry_events = {.global_remove = on_global_remove};
static const struct pw_stream_events stream_events = {
	.state_changed = on_state_changed, .param_changed = on_param_changed, .add_buffer = on_add_buffer,
	.remove_buffer = on_remove_buffer, .process = on_process,
};

// The methods of an interface.
static const struct pw_core_methods *core_methods(void *core) { return ((struct spa_interface *)core)->cb.funcs; }
static void *object(void *proxy) { return ((struct spa_interface *)proxy)->cb.data; }

static int start(wavry_stream *s, int socket, const char *properties, wavry_pods formats, char *why) {
#define STEP(what) snprintf(why, WAVRY_TEXT, "cannot %s", what)
	STEP("make a loop");
	s->loop = pw.pw_thread_loop_new("wavry-pipewire", NULL);
	if (s->loop == NULL) goto close_socket;
	STEP("make a context (is PipeWire's client.conf installed?)");
	s->context = pw.pw_context_new(pw.pw_thread_loop_get_loop(s->loop), NULL, 0);
	if (s->context == NULL) goto close_socket;
	STEP("connect");
	s->core = pw.pw_context_connect_fd(s->context, socket, NULL, 0);
	if (s->core == NULL) return 0; // it has closed the socket
	core_methods(s->core)->add_listener(object(s->core), &s->core_hook, &core_events, s);
	STEP("make a registry");
	s->registry = core_methods(s->core)->get_registry(object(s->core), PW_VERSION_REGISTRY, 0);
	if (s->registry == NULL) return 0;
	const struct pw_registry_methods *methods = ((struct spa_interface *)s->registry)->cb.funcs;
	methods->add_listener(object(s->registry), &s->registry_hook, &registry_events, s);
	STEP("make a stream");
	s->stream = pw.pw_stream_new(s->core, "wavry-host capture", pw.pw_properties_new_string(properties));
	if (s->stream == NULL) return 0;
	pw.pw_stream_add_listener(s->stream, &s->stream_hook, &stream_events, s);
	int res = with_pods(s, formats.bytes, formats.size, use_formats);
	if (res < 0) {
		snprintf(why, WAVRY_TEXT, "cannot connect the stream: %s", strerror(-res));
		return 0;
	}
	STEP("start the loop");
	return pw.pw_thread_loop_start(s->loop) == 0;
#undef STEP
close_socket:
	close(socket);
	return 0;
}

wavry_stream *wavry_pw_open(int socket, int wake, uint32_t node, const char *properties, wavry_pods formats,
	wavry_pods buffers, char *why) {
	wavry_stream *s = calloc(1, sizeof(*s));
	uint8_t *answer = malloc(buffers.size);
	if (s == NULL || answer == NULL) {
		snprintf(why, WAVRY_TEXT, "no memory");
		free(s);
		free(answer);
		close(socket);
		return NULL;
	}
	memcpy(answer, buffers.bytes, buffers.size);
	s->wake = wake;
	s->node = node;
	s->answer = answer;
	s->answers = buffers.size;
	s->pending.slot = -1;
	if (start(s, socket, properties, formats, why)) return s;
	wavry_pw_close(s);
	return NULL;
}

void wavry_pw_close(wavry_stream *s) {
	if (s->loop != NULL) pw.pw_thread_loop_stop(s->loop);
	if (s->stream != NULL) pw.pw_stream_destroy(s->stream);
	if (s->registry != NULL) pw.pw_proxy_destroy(s->registry);
	if (s->core != NULL) pw.pw_core_disconnect(s->core);
	if (s->context != NULL) pw.pw_context_destroy(s->context);
	if (s->loop != NULL) pw.pw_thread_loop_destroy(s->loop);
	for (int32_t i = 0; i < WAVRY_SLOTS; i++) unref(s->slots[i].map);
	free(s->answer);
	free(s);
}

void wavry_pw_take(wavry_stream *s, int wanted, wavry_update *u) {
	pw.pw_thread_loop_lock(s->loop);
	u->state = s->state;
	u->failure = s->failure;
	memcpy(u->text, s->text, sizeof(u->text));
	u->pongs = s->pongs;
	u->buffers = s->buffers;
	u->dropped = s->dropped;
	if (u->format != s->format) {
		u->format = s->format;
		u->pod = s->pod;
		memcpy(u->pods, s->pods, s->pod);
	}
	u->picture.slot = -1;
	if (wanted && s->pending.slot >= 0) {
		u->picture = s->pending;
		s->pending.slot = -1;
		mapping *m = s->slots[u->picture.slot].map;
		if (m != NULL) atomic_fetch_add(&m->refs, 1);
		u->picture.mapping = m;
	}
	pw.pw_thread_loop_unlock(s->loop);
}

// Returns a slot that still has its buffer. The caller holds the lock.
static slot *current(wavry_stream *s, int32_t i, uint32_t generation) {
	if (i < 0 || i >= WAVRY_SLOTS) return NULL;
	slot *t = &s->slots[i];
	return t->buffer != NULL && t->generation == generation ? t : NULL;
}

void wavry_pw_give_back(wavry_stream *s, int32_t i, uint32_t generation) {
	pw.pw_thread_loop_lock(s->loop);
	slot *t = current(s, i, generation);
	if (t != NULL) pw.pw_stream_queue_buffer(s->stream, t->buffer);
	pw.pw_thread_loop_unlock(s->loop);
}

int64_t wavry_pw_copy(wavry_stream *s, int32_t i, uint32_t generation, uint64_t from, void *to, uint64_t size) {
	int64_t done = -1;
	pw.pw_thread_loop_lock(s->loop);
	slot *t = current(s, i, generation);
	if (t != NULL && from <= t->length && size <= t->length - from) {
		const struct spa_data *d = &t->buffer->buffer->datas[0];
		if (t->map != NULL) {
			memcpy(to, (uint8_t *)t->map->address + t->start + from, size);
			done = (int64_t)size;
		} else if (t->type == SPA_DATA_MemPtr) {
			memcpy(to, (uint8_t *)d->data + from, size);
			done = (int64_t)size;
		} else if (t->type == SPA_DATA_MemFd) {
			done = pread(d->fd, to, size, (off_t)(t->start + from));
		}
	}
	pw.pw_thread_loop_unlock(s->loop);
	return done;
}

void wavry_pw_ping(wavry_stream *s) {
	pw.pw_thread_loop_lock(s->loop);
	if (s->failure == 0) core_methods(s->core)->sync(object(s->core), PW_ID_CORE, 0);
	pw.pw_thread_loop_unlock(s->loop);
}
