/* Redis Pub/Sub. Who subscribes may not publish on the same connection in RESP2: senders have
 * connections of their own. The answer is the reply to PUBLISH. */
#define _GNU_SOURCE
#include "load.h"

static size_t greet(Client *c, char *out) {
    if (c->listens < 0) {
        joined(c);
        return 0;
    }
    c->head = malloc(64);
    c->head_size = sprintf(c->head, "*3\r\n$7\r\nmessage\r\n$6\r\nc%05d\r\n$%d\r\n", c->listens,
                           options.size);
    return sprintf(out, "*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\nc%05d\r\n", c->listens);
}

static size_t say(Client *c, char *out, const char *text) {
    size_t n = sprintf(out, "*3\r\n$7\r\nPUBLISH\r\n$6\r\nc%05d\r\n$%d\r\n", c->speaks, options.size);
    memcpy(out + n, text, options.size);
    memcpy(out + n + options.size, "\r\n", 2);
    return n + options.size + 2;
}

/* :N for each message sent. */
static size_t take_replies(Client *c, const char *data, size_t n) {
    size_t at = 0;
    for (const char *end; at < n && (end = memchr(data + at, '\n', n - at)); at = end + 1 - data) {
        if (data[at] == ':') answered(c);
        else fail("error", c, data + at, n - at);
    }
    return at;
}

/* The answer to SUBSCRIBE ends in :1. */
static size_t take_subscribed(Client *c, const char *data, size_t n) {
    const char *end = memmem(data, n, ":1\r\n", 4);
    if (!end) return 0;
    joined(c);
    return end + 4 - data;
}

static size_t take(Client *c, const char *data, size_t n) {
    if (c->listens < 0) return take_replies(c, data, n);
    size_t at = c->ready ? 0 : take_subscribed(c, data, n);
    at += take_alike(c, data + at, n - at, 2);
    if (n - at >= c->head_size + options.size + 2) {
        fail("another message", c, data + at, n - at);
        return n;
    }
    return at;
}

const Protocol redis = {
    .name = "redis",
    .apart = 1,
    .at_once = 50,
    .greet = greet,
    .say = say,
    .take = take,
};
