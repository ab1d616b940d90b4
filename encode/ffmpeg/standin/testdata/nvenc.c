// Takes the place of libnvidia-encode: H.264 by x264, HEVC by x265 and AV1 by libaom, through NVIDIA's public interface.
#include "card.h"
#include "codec.h"
#include "fault.h"

#include <ffnvcodec/nvEncodeAPI.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What is open and was done on a card, for the test.
struct card {
	ino_t file;
	int counts, sessions, inputs, outputs;
	unsigned long maps, pictures, rates;
};

static struct { pthread_mutex_t mutex; struct card list[8]; } cards = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct input {
	int width, height, pitch;
	uint8_t *data; // luma, and the chroma below it
};

struct output {
	uint8_t *data;
	size_t size, room;
	int done;
	NV_ENC_PIC_TYPE type;
	uint64_t time, duration;
	uint32_t quantizer, index;
};

struct encoder {
	struct card *card;
	int fd; // of the CUDA context
	NV_ENC_INITIALIZE_PARAMS init;
	NV_ENC_CONFIG config;
	const struct codec *codec;
	void *inside; // the encoder of that codec
	int idr;      // the next picture is one
	char error[128];
};

static struct card *card_of(int fd)
{
	struct stat info;
	ino_t file = fstat(fd, &info) ? 1 : info.st_ino;
	for (int i = 0; i < (int)(sizeof cards.list / sizeof *cards.list); i++) {
		struct card *c = &cards.list[i];
		if (!c->file) {
			c->file = file;
			c->counts = counts_open(fd);
		}
		if (c->file == file)
			return c;
	}
	abort();
}

// The library is unloaded with the last encoder.
__attribute__((destructor)) static void unload(void)
{
	for (int i = 0; i < (int)(sizeof cards.list / sizeof *cards.list) && cards.list[i].file; i++)
		close(cards.list[i].counts);
}

// Adds n to *value, one of a card's counts.
static void count(struct card *c, int *value, int n)
{
	char text[256];
	pthread_mutex_lock(&cards.mutex);
	*value += n;
	int size = snprintf(text, sizeof text,
	                    "{\"contexts\":%d,\"surfaces\":%d,\"others\":%d,\"maps\":%lu,\"pictures\":%lu,\"rates\":%lu}%32s\n",
	                    c->sessions, c->inputs, c->outputs, c->maps, c->pictures, c->rates, "");
	if (pwrite(c->counts, text, size, 0) < 0)
		c->counts = -1; // the test fails for lack of figures
	pthread_mutex_unlock(&cards.mutex);
}

// Notes why a call fails.
static NVENCSTATUS fail(struct encoder *e, NVENCSTATUS status, const char *why)
{
	snprintf(e->error, sizeof e->error, "%s", why);
	return status;
}

#define CHECK_VERSION(p, wanted) \
	if ((p)->version != (wanted)) \
		return NV_ENC_ERR_INVALID_VERSION

static int is(GUID a, GUID b) { return !memcmp(&a, &b, sizeof a); }

static NVENCSTATUS NVENCAPI open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *p, void **encoder)
{
	CHECK_VERSION(p, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER);
	if (p->apiVersion != NVENCAPI_VERSION)
		return NV_ENC_ERR_INVALID_VERSION;
	if (p->deviceType != NV_ENC_DEVICE_TYPE_CUDA || !p->device)
		return NV_ENC_ERR_UNSUPPORTED_DEVICE;
	int fd = ((CUcontext)p->device)->fd;
	if (fault_set(fd, "lost", NULL))
		return NV_ENC_ERR_GENERIC;
	if (fault_set(fd, "encode=none", NULL))
		return NV_ENC_ERR_UNSUPPORTED_DEVICE;
	if (!session_begin(fd))
		return NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY;
	struct encoder *e = calloc(1, sizeof *e);
	if (!e)
		return NV_ENC_ERR_OUT_OF_MEMORY;
	e->fd = fd;
	pthread_mutex_lock(&cards.mutex);
	e->card = card_of(fd);
	pthread_mutex_unlock(&cards.mutex);
	e->idr = 1; // of the first picture
	count(e->card, &e->card->sessions, 1);
	*encoder = e;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI destroy_encoder(void *encoder)
{
	struct encoder *e = encoder;
	if (e->inside)
		e->codec->close(e->inside);
	session_end(e->fd);
	count(e->card, &e->card->sessions, -1);
	free(e);
	return NV_ENC_SUCCESS;
}

static const char *NVENCAPI last_error(void *encoder) { return ((struct encoder *)encoder)->error; }

static const struct codec *codec_of(GUID guid)
{
	if (is(guid, NV_ENC_CODEC_H264_GUID))
		return &codec_h264;
	if (is(guid, NV_ENC_CODEC_HEVC_GUID))
		return &codec_hevc;
	if (is(guid, NV_ENC_CODEC_AV1_GUID))
		return &codec_av1;
	return NULL;
}

static NVENCSTATUS NVENCAPI count_codecs(void *encoder, uint32_t *n)
{
	struct encoder *e = encoder;
	*n = fault_set(e->fd, "encode=h264", NULL) ? 1 : 3;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI list_codecs(void *encoder, GUID *list, uint32_t room, uint32_t *n)
{
	const GUID all[] = {NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID, NV_ENC_CODEC_AV1_GUID};
	count_codecs(encoder, n);
	if (room < *n)
		return NV_ENC_ERR_INVALID_PARAM;
	memcpy(list, all, *n * sizeof *list);
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI get_cap(void *encoder, GUID codec, NV_ENC_CAPS_PARAM *p, int *value)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_CAPS_PARAM_VER);
	if (!codec_of(codec))
		return NV_ENC_ERR_INVALID_PARAM;
	long min, max;
	fault_limits(e->fd, &min, &max);
	switch (p->capsToQuery) {
	case NV_ENC_CAPS_WIDTH_MAX:
	case NV_ENC_CAPS_HEIGHT_MAX:
		*value = max;
		break;
	case NV_ENC_CAPS_WIDTH_MIN:
	case NV_ENC_CAPS_HEIGHT_MIN:
		*value = min;
		break;
	case NV_ENC_CAPS_NUM_MAX_BFRAMES:
		*value = 4;
		break;
	case NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE:
		*value = !fault_set(e->fd, "rate=fixed", NULL);
		break;
	case NV_ENC_CAPS_SUPPORT_CABAC:
	case NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE:
	case NV_ENC_CAPS_NUM_ENCODER_ENGINES:
		*value = 1;
		break;
	default:
		*value = 0;
		break;
	}
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI preset_config(void *encoder, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning, NV_ENC_PRESET_CONFIG *p)
{
	(void)encoder;
	CHECK_VERSION(p, NV_ENC_PRESET_CONFIG_VER);
	CHECK_VERSION(&p->presetCfg, NV_ENC_CONFIG_VER);
	if (!codec_of(codec) || !is(preset, NV_ENC_PRESET_P1_GUID) || tuning != NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY)
		return NV_ENC_ERR_UNSUPPORTED_PARAM; // the product has one preset
	NV_ENC_CONFIG *c = &p->presetCfg;
	c->profileGUID = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
	c->gopLength = NVENC_INFINITE_GOPLENGTH;
	c->frameIntervalP = 1;
	c->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CBR;
	return NV_ENC_SUCCESS;
}

static struct rate rate_of(const struct encoder *e)
{
	const NV_ENC_RC_PARAMS *r = &e->config.rcParams;
	return (struct rate){
		.mean = r->averageBitRate,
		.peak = r->rateControlMode == NV_ENC_PARAMS_RC_CBR ? r->averageBitRate : r->maxBitRate,
		.buffer = r->vbvBufferSize,
	};
}

static void take_colors(struct colors *c, const NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui)
{
	if (vui->videoSignalTypePresentFlag)
		c->full_range = vui->videoFullRangeFlag;
	if (vui->colourDescriptionPresentFlag) {
		c->primaries = vui->colourPrimaries;
		c->transfer = vui->transferCharacteristics;
		c->matrix = vui->colourMatrix;
	}
	if (vui->chromaSampleLocationFlag)
		c->location = vui->chromaSampleLocationTop;
}

static const char *take_h264(struct settings *s, const NV_ENC_CONFIG *c)
{
	const NV_ENC_CONFIG_H264 *h = &c->encodeCodecConfig.h264Config;
	s->level = h->level;
	s->headers = h->repeatSPSPPS;
	take_colors(&s->colors, &h->h264VUIParameters);
	return is(c->profileGUID, NV_ENC_H264_PROFILE_BASELINE_GUID) ? "baseline" :
	       is(c->profileGUID, NV_ENC_H264_PROFILE_MAIN_GUID)     ? "main" : "high";
}

static const char *take_hevc(struct settings *s, const NV_ENC_CONFIG *c)
{
	const NV_ENC_CONFIG_HEVC *h = &c->encodeCodecConfig.hevcConfig;
	s->level = h->level;
	s->headers = h->repeatSPSPPS;
	take_colors(&s->colors, &h->hevcVUIParameters);
	return is(c->profileGUID, NV_ENC_HEVC_PROFILE_MAIN_GUID) ? "main" : NULL;
}

static const char *take_av1(struct settings *s, const NV_ENC_CONFIG *c)
{
	const NV_ENC_CONFIG_AV1 *a = &c->encodeCodecConfig.av1Config;
	s->level = a->level;
	s->headers = a->repeatSeqHdr && !a->disableSeqHdr && !a->outputAnnexBFormat;
	s->colors = (struct colors){a->colorRange, a->colorPrimaries, a->transferCharacteristics, a->matrixCoefficients,
	                            a->chromaSamplePosition};
	return is(c->profileGUID, NV_ENC_AV1_PROFILE_MAIN_GUID) ? "main" : NULL;
}

// Returns how many bytes a picture of a constant rate is padded with, if that is demanded.
static size_t padding(const struct encoder *e, size_t size)
{
	if (e->codec != &codec_av1 || e->config.rcParams.rateControlMode != NV_ENC_PARAMS_RC_CBR ||
	    !e->config.encodeCodecConfig.av1Config.enableBitstreamPadding)
		return 0;
	size_t share = (uint64_t)e->config.rcParams.averageBitRate * e->init.frameRateDen / e->init.frameRateNum / 8;
	return share > size + 8 ? share - size : 0;
}

static NVENCSTATUS NVENCAPI initialize(void *encoder, NV_ENC_INITIALIZE_PARAMS *init)
{
	struct encoder *e = encoder;
	CHECK_VERSION(init, NV_ENC_INITIALIZE_PARAMS_VER);
	CHECK_VERSION(init->encodeConfig, NV_ENC_CONFIG_VER);
	long min, max;
	fault_limits(e->fd, &min, &max);
	if (init->encodeWidth < min || init->encodeHeight < min)
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "Frame Dimension less than the minimum supported value.");
	if (init->encodeWidth > max || init->encodeHeight > max)
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "Frame Dimension greater than the maximum supported value.");
	if (!init->frameRateNum || !init->frameRateDen || !init->enablePTD)
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "Frame rate or picture types not given.");
	e->init = *init;
	e->config = *init->encodeConfig;
	e->codec = codec_of(init->encodeGUID);
	if (!e->codec || e->config.frameIntervalP != 1)
		return fail(e, NV_ENC_ERR_UNSUPPORTED_PARAM, "The stand-in has no such codec, or no B-frames.");
	struct settings s = {
		.width = init->encodeWidth, .height = init->encodeHeight,
		.rate_num = init->frameRateNum, .rate_den = init->frameRateDen, .rate = rate_of(e),
	};
	s.profile = e->codec == &codec_h264 ? take_h264(&s, &e->config) :
	            e->codec == &codec_hevc ? take_hevc(&s, &e->config) : take_av1(&s, &e->config);
	if (!s.profile)
		return fail(e, NV_ENC_ERR_UNSUPPORTED_PARAM, "The stand-in does not have this profile.");
	e->inside = e->codec->open(&s);
	return e->inside ? NV_ENC_SUCCESS : fail(e, NV_ENC_ERR_GENERIC, "The encoder inside refuses the parameters.");
}

static NVENCSTATUS NVENCAPI set_streams(void *encoder, NV_ENC_CUSTREAM_PTR in, NV_ENC_CUSTREAM_PTR out)
{
	(void)encoder, (void)in, (void)out;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI reconfigure(void *encoder, NV_ENC_RECONFIGURE_PARAMS *p)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_RECONFIGURE_PARAMS_VER);
	const NV_ENC_CONFIG *c = p->reInitEncodeParams.encodeConfig;
	if (!c)
		return NV_ENC_SUCCESS;
	if (fault_set(e->fd, "rate=refused", NULL) || fault_set(e->fd, "rate=fixed", NULL))
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "Reconfiguration refused.");
	e->config = *c;
	struct rate rate = rate_of(e);
	if (e->codec->set_rate(e->inside, &rate))
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "The encoder inside refuses the rate.");
	e->idr |= p->forceIDR || fault_set(e->fd, "rate=key", NULL);
	e->card->rates++;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI create_input(void *encoder, NV_ENC_CREATE_INPUT_BUFFER *p)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_CREATE_INPUT_BUFFER_VER);
	if (p->bufferFmt != NV_ENC_BUFFER_FORMAT_NV12)
		return fail(e, NV_ENC_ERR_UNSUPPORTED_PARAM, "The stand-in has NV12 only.");
	struct input *in = calloc(1, sizeof *in);
	if (!in)
		return NV_ENC_ERR_OUT_OF_MEMORY;
	*in = (struct input){.width = p->width, .height = p->height, .pitch = (p->width + 255) & ~255};
	in->data = calloc((p->height + 1) / 2 * 3, in->pitch);
	if (!in->data) {
		free(in);
		return NV_ENC_ERR_OUT_OF_MEMORY;
	}
	p->inputBuffer = in;
	count(e->card, &e->card->inputs, 1);
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI destroy_input(void *encoder, NV_ENC_INPUT_PTR buffer)
{
	struct encoder *e = encoder;
	struct input *in = buffer;
	free(in->data);
	free(in);
	count(e->card, &e->card->inputs, -1);
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI lock_input(void *encoder, NV_ENC_LOCK_INPUT_BUFFER *p)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_LOCK_INPUT_BUFFER_VER);
	struct input *in = p->inputBuffer;
	p->bufferDataPtr = in->data;
	p->pitch = in->pitch;
	e->card->maps++;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI unlock_input(void *encoder, NV_ENC_INPUT_PTR buffer)
{
	(void)encoder, (void)buffer;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI create_output(void *encoder, NV_ENC_CREATE_BITSTREAM_BUFFER *p)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_CREATE_BITSTREAM_BUFFER_VER);
	p->bitstreamBuffer = calloc(1, sizeof(struct output));
	if (!p->bitstreamBuffer)
		return NV_ENC_ERR_OUT_OF_MEMORY;
	count(e->card, &e->card->outputs, 1);
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI destroy_output(void *encoder, NV_ENC_OUTPUT_PTR buffer)
{
	struct encoder *e = encoder;
	free(((struct output *)buffer)->data);
	free(buffer);
	count(e->card, &e->card->outputs, -1);
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI encode_picture(void *encoder, NV_ENC_PIC_PARAMS *p)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_PIC_PARAMS_VER);
	if (p->encodePicFlags & NV_ENC_PIC_FLAG_EOS)
		return NV_ENC_SUCCESS;
	if (fault_set(e->fd, "crash", NULL))
		raise(SIGSEGV);
	if (fault_set(e->fd, "lost", NULL))
		return fail(e, NV_ENC_ERR_DEVICE_NOT_EXIST, "The card is gone.");
	struct input *source = p->inputBuffer;
	struct output *out = p->outputBitstream;
	if (!source || !out || (int)p->inputWidth != source->width || (int)p->inputPitch != source->pitch ||
	    p->bufferFmt != NV_ENC_BUFFER_FORMAT_NV12)
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "Not a picture of this encoder.");
	struct picture picture = {
		.plane = {source->data, source->data + (size_t)source->height * source->pitch},
		.stride = {source->pitch, source->pitch},
		.key = e->idr || p->encodePicFlags & NV_ENC_PIC_FLAG_FORCEIDR,
	};
	struct unit unit;
	if (e->codec->encode(e->inside, &picture, &unit))
		return fail(e, NV_ENC_ERR_GENERIC, "The encoder inside does not encode.");
	e->idr = 0;
	size_t filler = fault_filler(e->fd, unit.size);
	if (!filler)
		filler = padding(e, unit.size);
	if (unit.size + filler > out->room) {
		uint8_t *data = realloc(out->data, unit.size + filler);
		if (!data)
			return NV_ENC_ERR_OUT_OF_MEMORY;
		out->data = data;
		out->room = unit.size + filler;
	}
	memcpy(out->data, unit.data, unit.size);
	if (filler)
		e->codec->fill(out->data + unit.size, filler);
	fault_spoil(e->fd, out->data, unit.size, unit.key);
	out->size = unit.size + filler;
	out->type = unit.key ? NV_ENC_PIC_TYPE_IDR : NV_ENC_PIC_TYPE_P;
	out->time = p->inputTimeStamp;
	out->duration = p->inputDuration;
	out->quantizer = unit.quantizer + 1; // libavcodec subtracts one
	out->index = p->frameIdx;
	out->done = 1;
	e->card->pictures++;
	count(e->card, &e->card->sessions, 0);
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI lock_output(void *encoder, NV_ENC_LOCK_BITSTREAM *p)
{
	struct encoder *e = encoder;
	CHECK_VERSION(p, NV_ENC_LOCK_BITSTREAM_VER);
	struct output *out = p->outputBitstream;
	if (!out->done)
		return fail(e, NV_ENC_ERR_INVALID_PARAM, "No picture was encoded into this buffer.");
	fault_wait(e->fd);
	p->bitstreamBufferPtr = out->data;
	p->bitstreamSizeInBytes = out->size;
	p->pictureType = out->type;
	p->pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
	p->outputTimeStamp = out->time;
	p->outputDuration = out->duration;
	p->frameAvgQP = out->quantizer;
	p->frameIdx = out->index;
	return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI unlock_output(void *encoder, NV_ENC_OUTPUT_PTR buffer)
{
	(void)encoder;
	((struct output *)buffer)->done = 0;
	return NV_ENC_SUCCESS;
}

// The cards' driver is asked for its version without a card; so the first card decides.
static int is_old(void)
{
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	char path[4096];
	snprintf(path, sizeof path, "%.*s", (int)strcspn(list ? list : "", ","), list ? list : "");
	FILE *f = fopen(path, "re");
	int old = f && fault_set(fileno(f), "driver=old", NULL);
	if (f)
		fclose(f);
	return old;
}

NVENCSTATUS NVENCAPI NvEncodeAPIGetMaxSupportedVersion(uint32_t *version)
{
	*version = is_old() ? 11 << 4 : NVENCAPI_MAJOR_VERSION << 4 | NVENCAPI_MINOR_VERSION;
	return NV_ENC_SUCCESS;
}

NVENCSTATUS NVENCAPI NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *list)
{
	CHECK_VERSION(list, NV_ENCODE_API_FUNCTION_LIST_VER);
	list->nvEncOpenEncodeSessionEx = open_session;
	list->nvEncDestroyEncoder = destroy_encoder;
	list->nvEncGetLastErrorString = last_error;
	list->nvEncGetEncodeGUIDCount = count_codecs;
	list->nvEncGetEncodeGUIDs = list_codecs;
	list->nvEncGetEncodeCaps = get_cap;
	list->nvEncGetEncodePresetConfigEx = preset_config;
	list->nvEncInitializeEncoder = initialize;
	list->nvEncSetIOCudaStreams = set_streams;
	list->nvEncReconfigureEncoder = reconfigure;
	list->nvEncCreateInputBuffer = create_input;
	list->nvEncDestroyInputBuffer = destroy_input;
	list->nvEncLockInputBuffer = lock_input;
	list->nvEncUnlockInputBuffer = unlock_input;
	list->nvEncCreateBitstreamBuffer = create_output;
	list->nvEncDestroyBitstreamBuffer = destroy_output;
	list->nvEncEncodePicture = encode_picture;
	list->nvEncLockBitstream = lock_output;
	list->nvEncUnlockBitstream = unlock_output;
	return NV_ENC_SUCCESS;
}
