/* LD_PRELOAD: the name of the host is what $HOST_SHIM says. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int gethostname(char *name, size_t size) {
    const char *shown = getenv("HOST_SHIM");
    strncpy(name, shown ? shown : "host", size);
    return 0;
}
