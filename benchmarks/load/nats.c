/* NATS without echo. The answer is the PONG to a PING behind each PUB. */
#include "load.h"

static size_t greet(Client *c, char *out) {
    c->head = malloc(64);
    c->head_size = sprintf(c->head, "MSG c%05d 1 %d\r\n", c->listens, options.size);
    return sprintf(out,
                   "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,"
                   "\"echo\":false,\"name\":\"%s%05d\",\"lang\":\"c\",\"version\":\"1\","
                   "\"protocol\":1}\r\nSUB c%05d 1\r\nPING\r\n",
                   options.prefix, c->index, c->listens);
}

static size_t say(Client *c, char *out, const char *text) {
    size_t n = sprintf(out, "PUB c%05d %d\r\n", c->speaks, options.size);
    memcpy(out + n, text, options.size);
    memcpy(out + n + options.size, "\r\nPING\r\n", 8);
    return n + options.size + 8;
}

static void take_pong(Client *c) {
    if (c->ready) answered(c);
    else joined(c);
}

static void take_line(Client *c, const char *line, size_t n) {
    if (!memcmp(line, "PONG", 4)) take_pong(c);
    else if (!memcmp(line, "PING", 4)) put(c, "PONG\r\n", 6);
    else if (memcmp(line, "INFO", 4)) fail("error", c, line, n);
}

static size_t take(Client *c, const char *data, size_t n) {
    size_t at = 0;
    for (;;) {
        at += take_alike(c, data + at, n - at, 2);
        const char *end = memchr(data + at, '\n', n - at);
        if (!end) return at;
        size_t line = end + 1 - (data + at);
        if (data[at] == 'M' && line == c->head_size && !memcmp(data + at, c->head, line)) return at;
        take_line(c, data + at, line);
        at += line;
    }
}

const Protocol nats = {
    .name = "nats",
    .at_once = 50,
    .greet = greet,
    .say = say,
    .take = take,
};
