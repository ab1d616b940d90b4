#include "fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int fault_set(int fd, const char *name, long *value)
{
	char text[1024];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = 0;
	size_t length = strlen(name);
	char *rest;
	for (char *word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		if (strncmp(word, name, length) || (word[length] && word[length] != '='))
			continue;
		if (value)
			*value = word[length] ? atol(word + length + 1) : 1;
		return 1;
	}
	return 0;
}

void fault_limits(int fd, long *min, long *max)
{
	*min = 64;
	*max = 4096;
	fault_set(fd, "min", min);
	fault_set(fd, "max", max);
}

void fault_wait(int fd)
{
	while (fault_set(fd, "hang", NULL))
		usleep(10000);
}

// The encodes of this process, by file.
static struct { pthread_mutex_t mutex; ino_t file[64]; } sessions = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static ino_t file_of(int fd)
{
	struct stat info;
	return fstat(fd, &info) ? 1 : info.st_ino;
}

int session_begin(int fd)
{
	long most = sizeof sessions.file / sizeof *sessions.file, used = 0, free = -1;
	fault_set(fd, "sessions", &most);
	pthread_mutex_lock(&sessions.mutex);
	for (int i = 0; i < (int)(sizeof sessions.file / sizeof *sessions.file); i++) {
		used += sessions.file[i] == file_of(fd);
		if (!sessions.file[i])
			free = i;
	}
	int ok = used < most && free >= 0;
	if (ok)
		sessions.file[free] = file_of(fd);
	pthread_mutex_unlock(&sessions.mutex);
	return ok;
}

void session_end(int fd)
{
	pthread_mutex_lock(&sessions.mutex);
	for (int i = 0; i < (int)(sizeof sessions.file / sizeof *sessions.file); i++) {
		if (sessions.file[i] == file_of(fd)) {
			sessions.file[i] = 0;
			break;
		}
	}
	pthread_mutex_unlock(&sessions.mutex);
}

// The size of a picture whose rate is ignored.
#define IGNORANT 65536

size_t fault_filler(int fd, size_t size)
{
	return fault_set(fd, "rate=ignored", NULL) && size < IGNORANT - 8 ? IGNORANT - size : 0;
}

void fault_spoil(int fd, uint8_t *data, size_t size, int key)
{
	if (fault_set(fd, "corrupt", NULL) || (fault_set(fd, "damaged", NULL) && !key))
		for (size_t i = size / 2; i < size; i += 3)
			data[i] ^= 0x5a;
}

int counts_open(int fd)
{
	char link[64], name[4096];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, name, sizeof name - 8);
	strcpy(name + (length > 0 ? length : 0), ".counts");
	return open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
}
