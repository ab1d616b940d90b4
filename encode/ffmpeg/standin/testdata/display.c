// Takes the place of libva-drm: it makes a display of any file, where the real one requires a render node. All the rest
// is the real libva, which loads the driver.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <va/va_backend.h>
#include <va/va_drmcommon.h>

VADisplayContextP va_newDisplayContext(void);
VADriverContextP va_newDriverContext(VADisplayContextP display);

static int is_valid(VADisplayContextP display) { return display && display->pDriverContext; }

static void destroy(VADisplayContextP display)
{
	free(display->pDriverContext->drm_state);
	free(display->pDriverContext);
	free(display);
}

static VAStatus driver_name(VADisplayContextP display, char **name)
{
	(void)display;
	*name = strdup("standin");
	return *name ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_ALLOCATION_FAILED;
}

static VAStatus driver_name_by_index(VADisplayContextP display, char **name, int index)
{
	return index ? VA_STATUS_ERROR_INVALID_PARAMETER : driver_name(display, name);
}

static VAStatus candidates(VADisplayContextP display, int *n)
{
	(void)display;
	*n = 1;
	return VA_STATUS_SUCCESS;
}

#if VA_CHECK_VERSION(1, 21, 0)
static VAStatus driver_names(VADisplayContextP display, char **names, unsigned *n)
{
	if (*n < 1)
		return VA_STATUS_ERROR_INVALID_PARAMETER;
	*n = 1;
	return driver_name(display, names);
}
#endif

VADisplay vaGetDisplayDRM(int fd)
{
	struct drm_state *state = calloc(1, sizeof *state);
	VADisplayContextP display = va_newDisplayContext();
	VADriverContextP driver = display ? va_newDriverContext(display) : NULL;
	if (fcntl(fd, F_GETFD) < 0 || !state || !driver) {
		free(driver);
		free(display);
		free(state);
		return NULL;
	}
	state->fd = fd;
	state->auth_type = VA_DRM_AUTH_CUSTOM;
	driver->drm_state = state;
	driver->display_type = VA_DISPLAY_DRM_RENDERNODES;
	display->vaIsValid = is_valid;
	display->vaDestroy = destroy;
	display->vaGetDriverName = driver_name;
	display->vaGetNumCandidates = candidates;
	display->vaGetDriverNameByIndex = driver_name_by_index;
#if VA_CHECK_VERSION(1, 21, 0) // libva 2.21 asks nothing else
	display->vaGetDriverNames = driver_names;
#endif
	return display;
}
