#include "codec.h"

void picture_split(const struct picture *p, uint8_t *const plane[2], int stride, int width, int height)
{
	for (int y = 0; y < height; y++) {
		const uint8_t *from = p->plane[1] + (size_t)y * p->stride[1];
		size_t row = (size_t)y * stride;
		for (int x = 0; x < width; x++) {
			plane[0][row + x] = from[2 * x];
			plane[1][row + x] = from[2 * x + 1];
		}
	}
}
