// What the devices for tests have in common: their settings and faults, which are words in a file, and their count of
// encodes. device.h lists the words.
#ifndef FAULT_H
#define FAULT_H

#include <stddef.h>
#include <stdint.h>

// Reports whether a device has a setting or a fault of that name. *value gets its number, if it has one.
int fault_set(int fd, const char *name, long *value);
// The longest and the shortest side of a picture.
void fault_limits(int fd, long *min, long *max);
// Returns once no picture hangs.
void fault_wait(int fd);

// Begins an encode of this process. It returns 0 if there is no room for one.
int session_begin(int fd);
void session_end(int fd);

// Returns how many bytes a picture of that size grows by.
size_t fault_filler(int fd, size_t size);
// Damages a picture of size bytes.
void fault_spoil(int fd, uint8_t *data, size_t size, int key);

// Opens the file for the counts of a device.
int counts_open(int fd);

#endif
