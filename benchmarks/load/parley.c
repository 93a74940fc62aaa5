/* Parley's wire, in its own frames, $LENGTH{...}$, or as `parley-web` in texts of WebSocket. The
 * sender's answer is `ok`, in the place of its message. */
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>

#include "load.h"

#define KIND_AT 12 /* {"purpose":"message","seq":N,... */
#define SEQ_AT 27

/* What makes the refs of this run its own: a server takes a ref once. */
static unsigned long run(void) {
    static unsigned long made;
    if (!made) made = (unsigned long)time(NULL) << 22 ^ getpid();
    return made;
}

static int web(void) { return options.protocol == &parley_web; }

/* What stands before a body. A client must mask; the mask of zeros leaves a text as it is. */
static size_t head(char *out, size_t n) {
    if (!web()) return sprintf(out, "$%zu", n);
    size_t at = 2;
    out[0] = (char)0x81;
    out[1] = (char)(0x80 | (n < 126 ? n : 126));
    if (n >= 126) {
        out[at++] = n >> 8;
        out[at++] = n;
    }
    memset(out + at, 0, 4);
    return at + 4;
}

static size_t tail(char *out) {
    if (web()) return 0;
    *out = '$';
    return 1;
}

static size_t frame(char *out, const char *body, size_t n) {
    size_t at = head(out, n);
    memcpy(out + at, body, n);
    return at + n + tail(out + at + n);
}

static size_t greet(Client *c, char *out) {
    char body[256];
    return frame(out, body,
                 sprintf(body,
                         "{\"purpose\":\"join\",\"nick\":\"%s%05d\",\"id\":1,\"time\":0,"
                         "\"bot\":true}",
                         options.prefix, c->index));
}

static size_t greet_web(Client *c, char *out) {
    (void)c;
    return sprintf(out,
                   "GET /chat HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                   "Sec-WebSocket-Version: 13\r\n\r\n",
                   options.host, options.port);
}

static size_t keep(Client *c, char *out) {
    char body[64];
    (void)c;
    return frame(out, body, sprintf(body, "{\"purpose\":\"ping\",\"ref\":\"alive\"}"));
}

static void enter(Client *c) {
    char body[128], out[192];
    int n = sprintf(body, "{\"purpose\":\"enter\",\"ref\":\"%lx-r%d\",\"room\":\"#r%05d\"}", run(),
                    c->index, c->listens);
    put(c, out, frame(out, body, n));
}

static size_t say(Client *c, char *out, const char *text) {
    char to[48] = "", body[256];
    if (options.pattern == PAIRS) sprintf(to, "\"to\":\"@%s%05d\",", options.prefix, c->speaks);
    if (options.pattern == ROOMS) sprintf(to, "\"to\":\"#r%05d\",", c->speaks);
    size_t n = sprintf(body, "{\"purpose\":\"message\",\"ref\":\"%lx-%d-%llu\",%s\"text\":\"",
                       run(), c->sender, (unsigned long long)c->sent, to);
    size_t at = head(out, n + options.size + 2);
    memcpy(out + at, body, n);
    memcpy(out + at + n, text, options.size);
    memcpy(out + at + n + options.size, "\"}", 2);
    at += n + options.size + 2;
    return at + tail(out + at);
}

static void check_seq(Client *c, const char *body) {
    uint64_t seq = 0;
    for (const char *d = body + SEQ_AT; *d >= '0' && *d <= '9'; d++) seq = seq * 10 + *d - '0';
    if (seq <= c->last_seq) fail("seq does not grow", c, body, 80);
    c->last_seq = seq;
}

static void take_message(Client *c, const char *body, size_t n) {
    const char *text = "";
    check_seq(c, body);
    if (c->next) {
        text = memmem(body, n, "\"text\":\"", 8);
        if (!text || n < (size_t)(text - body) + 8 + options.size || text[8 + options.size] != '"') {
            fail("another text", c, body, n);
            return;
        }
    }
    delivered(c, text + 8);
}

static void take_ok(Client *c) {
    if (c->ready) answered(c);
    else joined(c); /* it has entered its room */
}

static void take_body(Client *c, const char *body, size_t n) {
    switch (body[KIND_AT]) {
    case 'm': take_message(c, body, n); break;
    case 'o': take_ok(c); break;
    case 'e': fail("error", c, body, n); break;
    case 'w':
        if (options.pattern == ROOMS) enter(c);
        else joined(c);
    }
}

static size_t take(Client *c, const char *data, size_t n) {
    size_t at = 0;
    while (at < n) {
        size_t length = 0, p = at + 1;
        while (p < n && data[p] >= '0' && data[p] <= '9') length = length * 10 + data[p++] - '0';
        if (p >= n || p + length + 1 > n) break;
        if (data[at] != '$' || data[p] != '{' || data[p + length] != '$') {
            fail("no frame", c, data + at, n - at);
            return n;
        }
        take_body(c, data + p, length);
        at = p + length + 1;
    }
    return at;
}

/* The answer to the handshake; then one joins. */
static size_t take_upgraded(Client *c, const char *data, size_t n) {
    char join[JOIN_ROOM];
    const char *end = memmem(data, n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (memcmp(data, "HTTP/1.1 101", 12)) fail("error", c, data, n);
    c->step = 1;
    put(c, join, greet(c, join));
    return end + 4 - data;
}

static size_t take_web(Client *c, const char *data, size_t n) {
    size_t at = c->step ? 0 : take_upgraded(c, data, n);
    while (c->step && n - at >= 4) {
        const unsigned char *d = (const unsigned char *)data + at;
        size_t length = d[1], begin = 2;
        if (length == 126) {
            length = d[2] << 8 | d[3];
            begin = 4;
        }
        if (n - at < begin + length) break;
        if (d[0] != 0x81 || d[1] > 126) {
            fail("no text", c, data + at, n - at);
            return n;
        }
        take_body(c, data + at + begin, length);
        at += begin + length;
    }
    return at;
}

const Protocol parley_web = {
    .name = "parley-web",
    .at_once = 50,
    .greet = greet_web,
    .say = say,
    .take = take_web,
    .keep = keep,
};

const Protocol parley = {
    .name = "parley",
    .at_once = 50,
    .greet = greet,
    .say = say,
    .take = take,
    .keep = keep,
};
