#define _GNU_SOURCE // memfd_create
#include "device.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct device *device_of(VADriverContextP ctx) { return ctx->pDriverData; }

int device_setting(struct device *d, const char *name, long *value) { return fault_set(d->fd, name, value); }

static int lost(struct device *d) { return device_setting(d, "lost", NULL); }

// Objects. Their names are their places, plus one.

void *device_object(struct device *d, enum kind kind, VAGenericID id)
{
	struct object *o = id >= 1 && id <= MAX_OBJECTS ? d->objects[id - 1] : NULL;
	return o && o->kind == kind ? &o->config : NULL;
}

static void *make(struct device *d, enum kind kind, VAGenericID *id)
{
	for (int i = 0; i < MAX_OBJECTS; i++) {
		if (d->objects[i])
			continue;
		if (!(d->objects[i] = calloc(1, sizeof *d->objects[i])))
			return NULL;
		d->objects[i]->kind = kind;
		*id = i + 1;
		return &d->objects[i]->config;
	}
	return NULL;
}

static void surface_free(struct surface *s)
{
	if (s->memory && (s->fd > 0 || s->imported))
		munmap(s->memory, s->size);
	else
		free(s->memory);
	if (s->fd > 0)
		close(s->fd);
}

static void destroy(struct device *d, VAGenericID id)
{
	struct object *o = d->objects[id - 1];
	switch (o->kind) {
	case CONTEXT:
		if (o->context.config.entrypoint == VAEntrypointEncSlice)
			session_end(d->fd);
		encode_close(&o->context);
		break;
	case SURFACE:
		surface_free(&o->surface);
		break;
	case BUFFER:
		if (!o->buffer.borrowed)
			free(o->buffer.data);
		break;
	default:
		break;
	}
	free(o);
	d->objects[id - 1] = NULL;
}

void device_count(struct device *d)
{
	char text[256];
	int contexts = 0, surfaces = 0, others = 0;
	for (int i = 0; i < MAX_OBJECTS; i++) {
		if (!d->objects[i])
			continue;
		contexts += d->objects[i]->kind == CONTEXT;
		surfaces += d->objects[i]->kind == SURFACE;
		others += d->objects[i]->kind == BUFFER || d->objects[i]->kind == IMAGE || d->objects[i]->kind == CONFIG;
	}
	int n = snprintf(text, sizeof text, "{\"contexts\":%d,\"surfaces\":%d,\"others\":%d,\"maps\":%lu,\"imports\":%lu,\"pictures\":%lu}%32s\n",
	         contexts, surfaces, others, d->maps, d->imports, d->pictures, "");
	if (pwrite(d->counts, text, n, 0) < 0)
		d->counts = -1; // the test fails for lack of figures
}

#define ENTER(...) \
	struct device *d = device_of(ctx); \
	VAStatus status = VA_STATUS_SUCCESS; \
	pthread_mutex_lock(&d->mutex); \
	if (lost(d)) { \
		status = VA_STATUS_ERROR_OPERATION_FAILED; \
		goto out; \
	}
#define FAIL(error) \
	do { \
		status = error; \
		goto out; \
	} while (0)
#define LEAVE() \
out: \
	pthread_mutex_unlock(&d->mutex); \
	return status

// What it can do.

static VAStatus query_profiles(VADriverContextP ctx, VAProfile *list, int *n)
{
	list[0] = VAProfileNone;
	*n = 1 + encode_profiles(list + 1, device_setting(device_of(ctx), "encode=h264", NULL));
	return VA_STATUS_SUCCESS;
}

static VAStatus query_entrypoints(VADriverContextP ctx, VAProfile profile, VAEntrypoint *list, int *n)
{
	struct device *d = device_of(ctx);
	*n = 0;
	if (profile == VAProfileNone) {
		if (!device_setting(d, "process=none", NULL))
			list[(*n)++] = VAEntrypointVideoProc;
	} else if (!device_setting(d, "encode=none", NULL)) {
		list[(*n)++] = VAEntrypointEncSlice;
	}
	return VA_STATUS_SUCCESS;
}

static VAStatus get_attributes(VADriverContextP ctx, VAProfile profile, VAEntrypoint entrypoint, VAConfigAttrib *list, int n)
{
	long min, max;
	fault_limits(device_of(ctx)->fd, &min, &max);
	for (int i = 0; i < n; i++) {
		int encoder = entrypoint == VAEntrypointEncSlice;
		list[i].value = VA_ATTRIB_NOT_SUPPORTED;
		switch (list[i].type) {
		case VAConfigAttribRTFormat:
			list[i].value = VA_RT_FORMAT_YUV420 | (encoder ? 0 : VA_RT_FORMAT_RGB32);
			break;
		case VAConfigAttribRateControl:
			if (encoder)
				list[i].value = VA_RC_VBR | (device_setting(device_of(ctx), "rate=vbr", NULL) ? 0 : VA_RC_CBR);
			break;
		case VAConfigAttribEncPackedHeaders:
			if (encoder) // the encoder inside writes its own of all of them
				list[i].value = VA_ENC_PACKED_HEADER_SEQUENCE | VA_ENC_PACKED_HEADER_SLICE | VA_ENC_PACKED_HEADER_MISC;
			break;
		case VAConfigAttribEncMaxRefFrames:
		case VAConfigAttribEncMaxSlices:
			if (encoder)
				list[i].value = 1;
			break;
		case VAConfigAttribEncHEVCFeatures:
			if (profile == VAProfileHEVCMain)
				list[i].value = (VAConfigAttribValEncHEVCFeatures){.bits = {.cu_qp_delta = VA_FEATURE_SUPPORTED}}.value;
			break;
		case VAConfigAttribEncHEVCBlockSizes:
			if (profile == VAProfileHEVCMain)
				list[i].value = (VAConfigAttribValEncHEVCBlockSizes){.bits = {
					.log2_max_coding_tree_block_size_minus3 = 2, .log2_min_coding_tree_block_size_minus3 = 2,
					.log2_max_luma_transform_block_size_minus2 = 3, .max_max_transform_hierarchy_depth_inter = 2,
					.max_max_transform_hierarchy_depth_intra = 2,
				}}.value;
			break;
		case VAConfigAttribEncAV1:
		case VAConfigAttribEncAV1Ext1:
			if (profile == VAProfileAV1Profile0)
				list[i].value = 0; // no tools
			break;
		case VAConfigAttribEncAV1Ext2:
			if (profile == VAProfileAV1Profile0)
				list[i].value = (VAConfigAttribValEncAV1Ext2){.bits = {
					.tile_size_bytes_minus1 = 3, .obu_size_bytes_minus1 = 3, .tx_mode_support = 4, .max_tile_num_minus1 = 127,
				}}.value;
			break;
		case VAConfigAttribMaxPictureWidth:
		case VAConfigAttribMaxPictureHeight:
			list[i].value = max;
			break;
		default:
			break;
		}
	}
	return VA_STATUS_SUCCESS;
}

static VAStatus create_config(VADriverContextP ctx, VAProfile profile, VAEntrypoint entrypoint, VAConfigAttrib *list, int n, VAConfigID *id)
{
	ENTER()
	(void)list, (void)n;
	VAEntrypoint known[2];
	int count;
	query_entrypoints(ctx, profile, known, &count);
	if (count == 0 || known[0] != entrypoint)
		FAIL(VA_STATUS_ERROR_UNSUPPORTED_ENTRYPOINT);
	struct config *c = make(d, CONFIG, id);
	if (!c)
		FAIL(VA_STATUS_ERROR_ALLOCATION_FAILED);
	*c = (struct config){profile, entrypoint};
	LEAVE();
}

static VAStatus query_config(VADriverContextP ctx, VAConfigID id, VAProfile *profile, VAEntrypoint *entrypoint, VAConfigAttrib *list, int *n)
{
	ENTER()
	struct config *c = device_object(d, CONFIG, id);
	if (!c)
		FAIL(VA_STATUS_ERROR_INVALID_CONFIG);
	*profile = c->profile;
	*entrypoint = c->entrypoint;
	list[0].type = VAConfigAttribRTFormat;
	*n = 1;
	get_attributes(ctx, c->profile, c->entrypoint, list, 1);
	LEAVE();
}

static VAStatus query_surfaces(VADriverContextP ctx, VAConfigID id, VASurfaceAttrib *list, unsigned *n)
{
	ENTER()
	struct config *c = device_object(d, CONFIG, id);
	if (!c)
		FAIL(VA_STATUS_ERROR_INVALID_CONFIG);
	long min, max;
	fault_limits(d->fd, &min, &max);
	struct { VASurfaceAttribType type; int value; } all[8];
	unsigned count = 0;
	all[count++] = (__typeof__(all[0])){VASurfaceAttribPixelFormat, VA_FOURCC_NV12};
	if (c->entrypoint == VAEntrypointVideoProc) {
		all[count++] = (__typeof__(all[0])){VASurfaceAttribPixelFormat, VA_FOURCC_BGRX};
		all[count++] = (__typeof__(all[0])){VASurfaceAttribPixelFormat, VA_FOURCC_BGRA};
	}
	all[count++] = (__typeof__(all[0])){VASurfaceAttribMemoryType, VA_SURFACE_ATTRIB_MEM_TYPE_VA | VA_SURFACE_ATTRIB_MEM_TYPE_DRM_PRIME_2};
	all[count++] = (__typeof__(all[0])){VASurfaceAttribMinWidth, min};
	all[count++] = (__typeof__(all[0])){VASurfaceAttribMinHeight, min};
	all[count++] = (__typeof__(all[0])){VASurfaceAttribMaxWidth, max};
	all[count++] = (__typeof__(all[0])){VASurfaceAttribMaxHeight, max};
	for (unsigned i = 0; list && i < count && i < *n; i++) {
		list[i].type = all[i].type;
		list[i].flags = VA_SURFACE_ATTRIB_GETTABLE;
		list[i].value.type = VAGenericValueTypeInteger;
		list[i].value.value.i = all[i].value;
	}
	*n = count;
	LEAVE();
}

static VAStatus query_formats(VADriverContextP ctx, VAImageFormat *list, int *n)
{
	memcpy(list, device_of(ctx)->formats, sizeof device_of(ctx)->formats);
	*n = 2;
	return VA_STATUS_SUCCESS;
}

// Surfaces.

static void lay_out(struct surface *s, int stride, size_t offset, size_t chroma)
{
	s->stride[0] = s->stride[1] = stride;
	s->plane[0] = s->memory + offset;
	s->plane[1] = s->fourcc == VA_FOURCC_NV12 ? s->memory + chroma : NULL;
}

// Tiles as Intel's cards have them, of 512 bytes by 8 rows.
#define X_TILED 0x100000000000001ull

// Copies pixels in tiles to a surface, which has rows.
static void untile(struct surface *s, const uint8_t *from, size_t pitch)
{
	size_t row = 4 * (size_t)s->width;
	for (int y = 0; y < s->height; y++)
		for (size_t x = 0; x < row; x += 512)
			memcpy(s->plane[0] + (size_t)y * s->stride[0] + x, from + y / 8 * 8 * pitch + x / 512 * 4096 + y % 8 * 512, row - x < 512 ? row - x : 512);
}

static VAStatus allocate(struct surface *s, int shared);

static VAStatus import(struct device *d, struct surface *s, const VADRMPRIMESurfaceDescriptor *p)
{
	if (device_setting(d, "import=none", NULL))
		return VA_STATUS_ERROR_UNSUPPORTED_MEMORY_TYPE;
	uint64_t modifier = p->objects[0].drm_format_modifier;
	if (p->num_objects != 1 || p->num_layers != 1 || p->layers[0].num_planes != 1 || (modifier && modifier != X_TILED))
		return VA_STATUS_ERROR_INVALID_PARAMETER; // one plane, in rows or tiles
	if (p->fourcc != VA_FOURCC_BGRX && p->fourcc != VA_FOURCC_BGRA)
		return VA_STATUS_ERROR_UNSUPPORTED_RT_FORMAT;
	struct stat info;
	size_t pitch = p->layers[0].pitch[0], offset = p->layers[0].offset[0];
	size_t rows = modifier ? (p->height + 7) & ~7u : p->height, end = offset + pitch * rows;
	if (pitch < 4 * p->width || (modifier && pitch % 512) || fstat(p->objects[0].fd, &info) || (size_t)info.st_size < end)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	uint8_t *memory = mmap(NULL, end, PROT_READ, MAP_SHARED, p->objects[0].fd, 0);
	if (memory == MAP_FAILED)
		return VA_STATUS_ERROR_ALLOCATION_FAILED;
	s->imported = 1;
	s->fourcc = p->fourcc;
	s->width = p->width;
	s->height = p->height;
	d->imports++;
	if (!modifier) {
		s->memory = memory;
		s->size = end;
		lay_out(s, pitch, offset, 0);
		return VA_STATUS_SUCCESS;
	}
	VAStatus status = allocate(s, 1);
	if (status == VA_STATUS_SUCCESS)
		untile(s, memory + offset, pitch);
	munmap(memory, end);
	return status;
}

// Shared memory is a file, so that other programs can read it.
static VAStatus allocate(struct surface *s, int shared)
{
	int stride = (s->width + 63) & ~63, rows = (s->height + 15) & ~15;
	if (s->fourcc != VA_FOURCC_NV12)
		stride *= 4;
	s->size = (size_t)stride * rows * 3 / 2;
	void *memory = NULL;
	if (shared) {
		s->fd = memfd_create("standin-surface", MFD_CLOEXEC);
		if (s->fd < 0 || ftruncate(s->fd, s->size))
			return VA_STATUS_ERROR_ALLOCATION_FAILED;
		memory = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	}
	if (shared ? memory == MAP_FAILED : posix_memalign(&memory, 64, s->size))
		return VA_STATUS_ERROR_ALLOCATION_FAILED;
	s->memory = memory;
	memset(s->memory, 128, s->size);
	lay_out(s, stride, 0, (size_t)stride * rows);
	return VA_STATUS_SUCCESS;
}

// Hands a surface to other programs.
static VAStatus export(VADriverContextP ctx, VASurfaceID id, uint32_t type, uint32_t flags, void *descriptor)
{
	ENTER()
	VADRMPRIMESurfaceDescriptor *p = descriptor;
	struct surface *s = device_object(d, SURFACE, id);
	if (!s || s->imported || s->fourcc == VA_FOURCC_NV12)
		FAIL(VA_STATUS_ERROR_INVALID_SURFACE);
	if (type != VA_SURFACE_ATTRIB_MEM_TYPE_DRM_PRIME_2 || device_setting(d, "import=none", NULL))
		FAIL(VA_STATUS_ERROR_UNSUPPORTED_MEMORY_TYPE);
	(void)flags;
	memset(p, 0, sizeof *p);
	p->fourcc = s->fourcc;
	p->width = s->width;
	p->height = s->height;
	p->num_objects = p->num_layers = 1;
	p->objects[0].fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	p->objects[0].size = s->size;
	p->layers[0].drm_format = s->fourcc == VA_FOURCC_BGRX ? 0x34325258 : 0x34325241; // XR24, AR24
	p->layers[0].num_planes = 1;
	p->layers[0].pitch[0] = s->stride[0];
	if (p->objects[0].fd < 0)
		FAIL(VA_STATUS_ERROR_ALLOCATION_FAILED);
	LEAVE();
}

static VAStatus create_surfaces(VADriverContextP ctx, unsigned format, unsigned width, unsigned height, VASurfaceID *list, unsigned count, VASurfaceAttrib *attributes, unsigned n)
{
	unsigned made = 0;
	ENTER()
	long type = VA_SURFACE_ATTRIB_MEM_TYPE_VA;
	uint32_t fourcc = format == VA_RT_FORMAT_YUV420 ? VA_FOURCC_NV12 : VA_FOURCC_BGRX;
	VADRMPRIMESurfaceDescriptor *external = NULL;
	for (unsigned i = 0; i < n; i++) {
		switch (attributes[i].type) {
		case VASurfaceAttribPixelFormat:
			fourcc = attributes[i].value.value.i;
			break;
		case VASurfaceAttribMemoryType:
			type = attributes[i].value.value.i;
			break;
		case VASurfaceAttribExternalBufferDescriptor:
			external = attributes[i].value.value.p;
			break;
		default:
			break;
		}
	}
	if (fourcc != VA_FOURCC_NV12 && fourcc != VA_FOURCC_BGRX && fourcc != VA_FOURCC_BGRA)
		FAIL(VA_STATUS_ERROR_UNSUPPORTED_RT_FORMAT);
	if (type != VA_SURFACE_ATTRIB_MEM_TYPE_VA && (type != VA_SURFACE_ATTRIB_MEM_TYPE_DRM_PRIME_2 || !external))
		FAIL(VA_STATUS_ERROR_UNSUPPORTED_MEMORY_TYPE);
	for (; made < count; made++) {
		struct surface *s = make(d, SURFACE, &list[made]);
		if (!s)
			FAIL(VA_STATUS_ERROR_ALLOCATION_FAILED);
		s->fourcc = fourcc;
		s->width = width;
		s->height = height;
		status = type == VA_SURFACE_ATTRIB_MEM_TYPE_VA ? allocate(s, 1) : import(d, s, &external[made]);
		if (status != VA_STATUS_SUCCESS) {
			destroy(d, list[made]);
			goto out;
		}
	}
	device_count(d);
out:
	for (; status != VA_STATUS_SUCCESS && made > 0; made--)
		destroy(d, list[made - 1]);
	pthread_mutex_unlock(&d->mutex);
	return status;
}

static VAStatus create_surfaces_1(VADriverContextP ctx, int width, int height, int format, int n, VASurfaceID *list)
{
	return create_surfaces(ctx, format, width, height, list, n, NULL, 0);
}

// What is destroyed is destroyed on a lost device, too.
static VAStatus destroy_one(VADriverContextP ctx, enum kind kind, VAGenericID id, VAStatus error)
{
	struct device *d = device_of(ctx);
	pthread_mutex_lock(&d->mutex);
	void *o = device_object(d, kind, id);
	if (o)
		destroy(d, id);
	device_count(d);
	pthread_mutex_unlock(&d->mutex);
	return o ? VA_STATUS_SUCCESS : error;
}

static VAStatus destroy_surfaces(VADriverContextP ctx, VASurfaceID *list, int n)
{
	for (int i = 0; i < n; i++)
		if (destroy_one(ctx, SURFACE, list[i], VA_STATUS_ERROR_INVALID_SURFACE) != VA_STATUS_SUCCESS)
			return VA_STATUS_ERROR_INVALID_SURFACE;
	return VA_STATUS_SUCCESS;
}

static VAStatus destroy_config(VADriverContextP ctx, VAConfigID id)
{
	return destroy_one(ctx, CONFIG, id, VA_STATUS_ERROR_INVALID_CONFIG);
}

static VAStatus destroy_context(VADriverContextP ctx, VAContextID id)
{
	return destroy_one(ctx, CONTEXT, id, VA_STATUS_ERROR_INVALID_CONTEXT);
}

static VAStatus destroy_buffer(VADriverContextP ctx, VABufferID id)
{
	return destroy_one(ctx, BUFFER, id, VA_STATUS_ERROR_INVALID_BUFFER);
}

static VAStatus sync_surface(VADriverContextP ctx, VASurfaceID id)
{
	struct device *d = device_of(ctx);
	(void)id;
	while (device_setting(d, "hang", NULL))
		usleep(20000);
	return lost(d) ? VA_STATUS_ERROR_OPERATION_FAILED : VA_STATUS_SUCCESS;
}

static VAStatus sync_surface_2(VADriverContextP ctx, VASurfaceID id, uint64_t timeout)
{
	(void)timeout;
	return sync_surface(ctx, id);
}

static VAStatus sync_buffer(VADriverContextP ctx, VABufferID id, uint64_t timeout)
{
	(void)timeout;
	if (id == VA_INVALID_ID) // libavcodec asks whether the call exists
		return VA_STATUS_ERROR_INVALID_BUFFER;
	return sync_surface(ctx, id);
}

static VAStatus query_status(VADriverContextP ctx, VASurfaceID id, VASurfaceStatus *state)
{
	(void)ctx, (void)id;
	*state = VASurfaceReady;
	return VA_STATUS_SUCCESS;
}

// Images and buffers.

static VAStatus make_image(struct device *d, const struct surface *s, int borrowed, VAImage *image)
{
	VABufferID buffer;
	struct buffer *b = make(d, BUFFER, &buffer);
	if (!b)
		return VA_STATUS_ERROR_ALLOCATION_FAILED;
	*b = (struct buffer){.type = VAImageBufferType, .size = s->size, .count = 1, .data = s->memory, .borrowed = borrowed};
	VAImage *kept = make(d, IMAGE, &image->image_id);
	if (!kept) {
		b->borrowed = 1;
		destroy(d, buffer);
		return VA_STATUS_ERROR_ALLOCATION_FAILED;
	}
	int nv12 = s->fourcc == VA_FOURCC_NV12;
	image->format = d->formats[nv12 ? 0 : 1];
	image->buf = buffer;
	image->width = s->width;
	image->height = s->height;
	image->data_size = s->size;
	image->num_planes = nv12 ? 2 : 1;
	for (unsigned i = 0; i < image->num_planes; i++) {
		image->pitches[i] = s->stride[i];
		image->offsets[i] = s->plane[i] - s->memory;
	}
	*kept = *image;
	return VA_STATUS_SUCCESS;
}

static VAStatus create_image(VADriverContextP ctx, VAImageFormat *format, int width, int height, VAImage *image)
{
	ENTER()
	struct surface s = {.fourcc = format->fourcc, .width = width, .height = height};
	memset(image, 0, sizeof *image);
	status = allocate(&s, 0);
	if (status == VA_STATUS_SUCCESS && (status = make_image(d, &s, 0, image)) != VA_STATUS_SUCCESS)
		surface_free(&s);
	LEAVE();
}

static VAStatus derive_image(VADriverContextP ctx, VASurfaceID id, VAImage *image)
{
	ENTER()
	struct surface *s = device_object(d, SURFACE, id);
	if (!s || s->imported)
		FAIL(VA_STATUS_ERROR_OPERATION_FAILED);
	memset(image, 0, sizeof *image);
	status = make_image(d, s, 1, image);
	LEAVE();
}

static VAStatus destroy_image(VADriverContextP ctx, VAImageID id)
{
	struct device *d = device_of(ctx);
	pthread_mutex_lock(&d->mutex);
	VAImage *image = device_object(d, IMAGE, id);
	VABufferID buffer = image ? image->buf : VA_INVALID_ID;
	pthread_mutex_unlock(&d->mutex);
	destroy_one(ctx, BUFFER, buffer, VA_STATUS_SUCCESS);
	return destroy_one(ctx, IMAGE, id, VA_STATUS_ERROR_INVALID_IMAGE);
}

// Copies the planes of an image to a surface, or back.
static VAStatus copy_image(struct device *d, VASurfaceID id, VAImageID image_id, unsigned width, unsigned height, int back)
{
	struct surface *s = device_object(d, SURFACE, id);
	VAImage *image = device_object(d, IMAGE, image_id);
	struct buffer *b = image ? device_object(d, BUFFER, image->buf) : NULL;
	if (!s || !b || s->fourcc != image->format.fourcc || (int)width > s->width || (int)height > s->height)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	for (unsigned plane = 0; plane < image->num_planes; plane++) {
		unsigned rows = plane ? (height + 1) / 2 : height;
		size_t bytes = s->fourcc == VA_FOURCC_NV12 ? (width + 1) & ~1u : 4 * (size_t)width;
		for (unsigned y = 0; y < rows; y++) {
			uint8_t *own = s->plane[plane] + (size_t)y * s->stride[plane];
			uint8_t *other = b->data + image->offsets[plane] + (size_t)y * image->pitches[plane];
			memcpy(back ? other : own, back ? own : other, bytes);
		}
	}
	return VA_STATUS_SUCCESS;
}

static VAStatus put_image(VADriverContextP ctx, VASurfaceID id, VAImageID source, int sx, int sy, unsigned sw, unsigned sh, int dx, int dy, unsigned dw, unsigned dh)
{
	ENTER()
	if (sx || sy || dx || dy || sw != dw || sh != dh)
		FAIL(VA_STATUS_ERROR_INVALID_PARAMETER);
	status = copy_image(d, id, source, sw, sh, 0);
	LEAVE();
}

static VAStatus get_image(VADriverContextP ctx, VASurfaceID id, int x, int y, unsigned width, unsigned height, VAImageID to)
{
	ENTER()
	if (x || y)
		FAIL(VA_STATUS_ERROR_INVALID_PARAMETER);
	status = copy_image(d, id, to, width, height, 1);
	LEAVE();
}

static VAStatus create_buffer(VADriverContextP ctx, VAContextID context, VABufferType type, unsigned size, unsigned count, void *data, VABufferID *id)
{
	ENTER()
	(void)context;
	struct buffer *b = make(d, BUFFER, id);
	if (!b)
		FAIL(VA_STATUS_ERROR_ALLOCATION_FAILED);
	*b = (struct buffer){.type = type, .size = size, .count = count, .data = calloc(count, size)};
	if (!b->data)
		FAIL(VA_STATUS_ERROR_ALLOCATION_FAILED);
	if (data)
		memcpy(b->data, data, (size_t)size * count);
	LEAVE();
}

uint8_t *coded_buffer(struct device *d, VABufferID id, size_t size)
{
	struct buffer *b = device_object(d, BUFFER, id);
	if (!b || b->type != VAEncCodedBufferType || size > (size_t)b->size * b->count)
		return NULL;
	b->segment = (VACodedBufferSegment){.size = size, .buf = b->data};
	return b->data;
}

static VAStatus map_buffer(VADriverContextP ctx, VABufferID id, void **data)
{
	ENTER()
	struct buffer *b = device_object(d, BUFFER, id);
	if (!b)
		FAIL(VA_STATUS_ERROR_INVALID_BUFFER);
	*data = b->type == VAEncCodedBufferType ? (void *)&b->segment : b->data;
	if (b->type == VAImageBufferType) {
		d->maps++;
		device_count(d);
	}
	LEAVE();
}

static VAStatus unmap_buffer(VADriverContextP ctx, VABufferID id)
{
	(void)ctx, (void)id;
	return VA_STATUS_SUCCESS;
}

// Pictures.

static VAStatus create_context(VADriverContextP ctx, VAConfigID config, int width, int height, int flag, VASurfaceID *targets, int n, VAContextID *id)
{
	ENTER()
	(void)flag, (void)targets, (void)n;
	struct config *found = device_object(d, CONFIG, config);
	if (!found)
		FAIL(VA_STATUS_ERROR_INVALID_CONFIG);
	long min, max;
	fault_limits(d->fd, &min, &max);
	int encoder = found->entrypoint == VAEntrypointEncSlice;
	if (encoder && (width < min || height < min || width > max || height > max))
		FAIL(VA_STATUS_ERROR_RESOLUTION_NOT_SUPPORTED);
	if (encoder && !session_begin(d->fd))
		FAIL(VA_STATUS_ERROR_MAX_NUM_EXCEEDED);
	struct context *c = make(d, CONTEXT, id);
	if (!c) {
		if (encoder)
			session_end(d->fd);
		FAIL(VA_STATUS_ERROR_ALLOCATION_FAILED);
	}
	c->config = *found;
	c->width = width;
	c->height = height;
	device_count(d);
	LEAVE();
}

static VAStatus begin_picture(VADriverContextP ctx, VAContextID context, VASurfaceID target)
{
	ENTER()
	struct context *c = device_object(d, CONTEXT, context);
	if (!c || !device_object(d, SURFACE, target))
		FAIL(VA_STATUS_ERROR_INVALID_CONTEXT);
	c->target = target;
	c->has_pipeline = 0;
	LEAVE();
}

static void take_misc(struct device *d, struct context *c, const VAEncMiscParameterBuffer *misc)
{
	const void *data = misc->data;
	if (c->encoder && device_setting(d, "rate=fixed", NULL))
		return;
	switch (misc->type) {
	case VAEncMiscParameterTypeRateControl:
		c->bits_per_second = ((const VAEncMiscParameterRateControl *)data)->bits_per_second;
		break;
	case VAEncMiscParameterTypeHRD:
		c->buffer_bits = ((const VAEncMiscParameterHRD *)data)->buffer_size;
		break;
	case VAEncMiscParameterTypeFrameRate: {
		uint32_t rate = ((const VAEncMiscParameterFrameRate *)data)->framerate;
		c->rate_num = rate & 0xffff;
		c->rate_den = rate >> 16 ? rate >> 16 : 1;
		break;
	}
	default:
		break;
	}
}

static void take_sequence(struct context *c, const void *data)
{
	uint32_t rate;
	if (c->config.profile == VAProfileHEVCMain) {
		const VAEncSequenceParameterBufferHEVC *s = data;
		c->sequence.width = s->pic_width_in_luma_samples;
		c->sequence.height = s->pic_height_in_luma_samples;
		c->sequence.level = s->general_level_idc;
		rate = s->bits_per_second;
	} else if (c->config.profile == VAProfileAV1Profile0) {
		const VAEncSequenceParameterBufferAV1 *s = data;
		c->sequence.level = s->seq_level_idx;
		rate = s->bits_per_second;
	} else {
		const VAEncSequenceParameterBufferH264 *s = data;
		c->sequence.width = 16 * s->picture_width_in_mbs;
		c->sequence.height = 16 * s->picture_height_in_mbs;
		if (s->frame_cropping_flag) {
			c->sequence.width -= 2 * (s->frame_crop_left_offset + s->frame_crop_right_offset);
			c->sequence.height -= 2 * (s->frame_crop_top_offset + s->frame_crop_bottom_offset);
		}
		c->sequence.level = s->level_idc;
		rate = s->bits_per_second;
	}
	if (!c->bits_per_second)
		c->bits_per_second = rate;
	c->has_sequence = 1;
}

static void take_picture(struct context *c, const void *data)
{
	if (c->config.profile == VAProfileHEVCMain) {
		const VAEncPictureParameterBufferHEVC *p = data;
		c->coded = p->coded_buf;
		c->key = p->pic_fields.bits.idr_pic_flag;
	} else if (c->config.profile == VAProfileAV1Profile0) {
		const VAEncPictureParameterBufferAV1 *p = data;
		c->sequence.width = p->frame_width_minus_1 + 1;
		c->sequence.height = p->frame_height_minus_1 + 1;
		c->coded = p->coded_buf;
		c->key = p->picture_flags.bits.frame_type == 0;
	} else {
		const VAEncPictureParameterBufferH264 *p = data;
		c->coded = p->coded_buf;
		c->key = p->pic_fields.bits.idr_pic_flag;
	}
}

static VAStatus render_picture(VADriverContextP ctx, VAContextID context, VABufferID *list, int n)
{
	ENTER()
	struct context *c = device_object(d, CONTEXT, context);
	if (!c)
		FAIL(VA_STATUS_ERROR_INVALID_CONTEXT);
	for (int i = 0; i < n; i++) {
		struct buffer *b = device_object(d, BUFFER, list[i]);
		if (!b)
			FAIL(VA_STATUS_ERROR_INVALID_BUFFER);
		switch (b->type) {
		case VAEncSequenceParameterBufferType:
			take_sequence(c, b->data);
			break;
		case VAEncPictureParameterBufferType:
			take_picture(c, b->data);
			break;
		case VAEncMiscParameterBufferType:
			take_misc(d, c, (const VAEncMiscParameterBuffer *)b->data);
			break;
		case VAEncPackedHeaderDataBufferType:
			sequence_header(&c->sequence, c->config.profile, b->data, (size_t)b->size * b->count);
			break;
		case VAProcPipelineParameterBufferType:
			memcpy(&c->pipeline, b->data, sizeof c->pipeline);
			c->has_pipeline = 1;
			break;
		default:
			break;
		}
	}
	LEAVE();
}

static VAStatus end_picture(VADriverContextP ctx, VAContextID context)
{
	ENTER()
	struct context *c = device_object(d, CONTEXT, context);
	if (!c)
		FAIL(VA_STATUS_ERROR_INVALID_CONTEXT);
	status = c->config.entrypoint == VAEntrypointVideoProc ? process_picture(d, c) : encode_picture(d, c);
	LEAVE();
}

// Processing.

static VAStatus query_filters(VADriverContextP ctx, VAContextID context, VAProcFilterType *list, unsigned *n)
{
	(void)ctx, (void)context, (void)list;
	*n = 0;
	return VA_STATUS_SUCCESS;
}

static VAStatus query_pipeline(VADriverContextP ctx, VAContextID context, VABufferID *filters, unsigned n, VAProcPipelineCaps *caps)
{
	static VAProcColorStandardType standards[] = {VAProcColorStandardBT601, VAProcColorStandardBT709, VAProcColorStandardExplicit};
	(void)ctx, (void)context, (void)filters, (void)n;
	memset(caps, 0, sizeof *caps);
	caps->input_color_standards = caps->output_color_standards = standards;
	caps->num_input_color_standards = caps->num_output_color_standards = 3;
	return VA_STATUS_SUCCESS;
}

// The rest of the table, which libva demands. Nothing here calls it.
static VAStatus unimplemented(void) { return VA_STATUS_ERROR_UNIMPLEMENTED; }

static VAStatus query_attributes(VADriverContextP ctx, VADisplayAttribute *list, int *n)
{
	(void)ctx, (void)list;
	*n = 0;
	return VA_STATUS_SUCCESS;
}

static VAStatus terminate(VADriverContextP ctx)
{
	struct device *d = device_of(ctx);
	for (int i = 0; i < MAX_OBJECTS; i++)
		if (d->objects[i])
			destroy(d, i + 1);
	device_count(d);
	pthread_mutex_destroy(&d->mutex);
	close(d->counts);
	free(d);
	ctx->pDriverData = NULL;
	return VA_STATUS_SUCCESS;
}

#define CAT_(a, b, c) a##b##_##c
#define CAT(a, b, c) CAT_(a, b, c)
#define INIT CAT(__vaDriverInit_, VA_MAJOR_VERSION, VA_MINOR_VERSION)

VAStatus INIT(VADriverContextP ctx);
VAStatus INIT(VADriverContextP ctx)
{
	struct device *d = calloc(1, sizeof *d);
	if (!d)
		return VA_STATUS_ERROR_ALLOCATION_FAILED;
	pthread_mutex_init(&d->mutex, NULL);
	d->fd = ((struct drm_state *)ctx->drm_state)->fd;
	if (lost(d)) {
		free(d);
		return VA_STATUS_ERROR_OPERATION_FAILED;
	}
	d->counts = counts_open(d->fd);
	d->formats[0] = (VAImageFormat){.fourcc = VA_FOURCC_NV12, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 12};
	d->formats[1] = (VAImageFormat){.fourcc = VA_FOURCC_BGRX, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 32, .depth = 24,
	                                .red_mask = 0xff0000, .green_mask = 0xff00, .blue_mask = 0xff};
	ctx->pDriverData = d;
	ctx->version_major = VA_MAJOR_VERSION;
	ctx->version_minor = VA_MINOR_VERSION;
	ctx->max_profiles = 8;
	ctx->max_entrypoints = 4;
	ctx->max_attributes = 8;
	ctx->max_image_formats = 2;
	ctx->max_subpic_formats = 1;
	ctx->max_display_attributes = 1;
	ctx->str_vendor = "Stand-in for tests";

	struct VADriverVTable *t = ctx->vtable;
	for (void **entry = (void **)t; entry < (void **)(t + 1) - sizeof t->reserved / sizeof *t->reserved; entry++)
		*entry = (void *)unimplemented;
	t->vaTerminate = terminate;
	t->vaQueryConfigProfiles = query_profiles;
	t->vaQueryConfigEntrypoints = query_entrypoints;
	t->vaGetConfigAttributes = get_attributes;
	t->vaCreateConfig = create_config;
	t->vaDestroyConfig = destroy_config;
	t->vaQueryConfigAttributes = query_config;
	t->vaCreateSurfaces = create_surfaces_1;
	t->vaCreateSurfaces2 = create_surfaces;
	t->vaQuerySurfaceAttributes = query_surfaces;
	t->vaDestroySurfaces = destroy_surfaces;
	t->vaCreateContext = create_context;
	t->vaDestroyContext = destroy_context;
	t->vaCreateBuffer = create_buffer;
	t->vaMapBuffer = map_buffer;
#if VA_CHECK_VERSION(1, 21, 0)
	t->vaMapBuffer2 = NULL; // libva then calls vaMapBuffer
#endif
	t->vaUnmapBuffer = unmap_buffer;
	t->vaDestroyBuffer = destroy_buffer;
	t->vaBeginPicture = begin_picture;
	t->vaRenderPicture = render_picture;
	t->vaEndPicture = end_picture;
	t->vaSyncSurface = sync_surface;
	t->vaSyncSurface2 = sync_surface_2;
	t->vaSyncBuffer = sync_buffer;
	t->vaQuerySurfaceStatus = query_status;
	t->vaQueryImageFormats = query_formats;
	t->vaCreateImage = create_image;
	t->vaDeriveImage = derive_image;
	t->vaDestroyImage = destroy_image;
	t->vaPutImage = put_image;
	t->vaGetImage = get_image;
	t->vaExportSurfaceHandle = export;
	t->vaQueryDisplayAttributes = query_attributes;
	ctx->vtable_vpp->version = VA_DRIVER_VTABLE_VPP_VERSION;
	ctx->vtable_vpp->vaQueryVideoProcFilters = query_filters;
	ctx->vtable_vpp->vaQueryVideoProcPipelineCaps = query_pipeline;
	return VA_STATUS_SUCCESS;
}
