/* Parley's frames: $LENGTH{...}$. The sender's answer is `ok`, in the place of its message. */
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

static size_t frame(char *out, const char *body, size_t n) {
    size_t head = sprintf(out, "$%zu", n);
    memcpy(out + head, body, n);
    out[head + n] = '$';
    return head + n + 1;
}

static size_t greet(Client *c, char *out) {
    char body[256];
    return frame(out, body,
                 sprintf(body,
                         "{\"purpose\":\"join\",\"nick\":\"%s%05d\",\"id\":1,\"time\":0,"
                         "\"bot\":true}",
                         options.prefix, c->index));
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
    size_t at = sprintf(out, "$%zu", n + options.size + 2);
    memcpy(out + at, body, n);
    memcpy(out + at + n, text, options.size);
    memcpy(out + at + n + options.size, "\"}$", 3);
    return at + n + options.size + 3;
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

const Protocol parley = {
    .name = "parley",
    .at_once = 50,
    .greet = greet,
    .say = say,
    .take = take,
    .keep = keep,
};
