/* WebSocket: a text to all, to which the server answers with the text `ok`. */
#define _GNU_SOURCE
#include "load.h"

#define TEXT ((char)0x81)
#define MASKED ((char)0x80)

/* The head of a text frame. */
static size_t write_head(char *out, size_t size, char masked) {
    out[0] = TEXT;
    if (size < 126) {
        out[1] = size | masked;
        return 2;
    }
    out[1] = 126 | masked;
    out[2] = size >> 8;
    out[3] = size;
    return 4;
}

static size_t greet(Client *c, char *out) {
    c->head = malloc(16);
    c->head_size = write_head(c->head, options.size, 0);
    return sprintf(out,
                   "GET / HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                   options.host, options.port);
}

/* A client must mask; the mask of zeros leaves a text as it is. */
static size_t say(Client *c, char *out, const char *text) {
    (void)c;
    size_t n = write_head(out, options.size, MASKED);
    memset(out + n, 0, 4);
    memcpy(out + n + 4, text, options.size);
    return n + 4 + options.size;
}

static size_t take_upgraded(Client *c, const char *data, size_t n) {
    const char *end = memmem(data, n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(data, "HTTP/1.1 101", 12)) fail("error", c, data, n);
    joined(c);
    return end + 4 - data;
}

static size_t take(Client *c, const char *data, size_t n) {
    size_t at = c->ready ? 0 : take_upgraded(c, data, n);
    if (!c->ready) return 0;
    for (;;) {
        at += take_alike(c, data + at, n - at, 0);
        if (n - at < 4 || memcmp(data + at, "\x81\x02ok", 4)) break;
        answered(c);
        at += 4;
    }
    if (n - at >= c->head_size + options.size) {
        fail("another frame", c, data + at, 20);
        return n;
    }
    return at;
}

const Protocol websocket = {
    .name = "websocket",
    .at_once = 50,
    .greet = greet,
    .say = say,
    .take = take,
};
