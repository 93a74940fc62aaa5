/* IRC. A sender hears nothing of its own; the answer is the PONG to a PING behind each PRIVMSG.
 *
 * All nicks are equally long, and so are all lines that bring a message: after the first one a
 * message is known by its verb, and the next is looked for where it ends.
 */
#define _GNU_SOURCE
#include "load.h"

#define VERB " PRIVMSG "
#define VERB_SIZE 9
#define NO_MOTD 422 /* a numeric that is no complaint */

enum { GREETED, ENTERING };

static size_t greet(Client *c, char *out) {
    return sprintf(out, "NICK %s%05d\r\nUSER load 0 * :load\r\n", options.prefix, c->index);
}

static size_t name_channel(char *out, int channel) {
    if (options.pattern == PAIRS) return sprintf(out, "%s%05d", options.prefix, channel);
    return sprintf(out, "#c%05d", channel);
}

static size_t say(Client *c, char *out, const char *text) {
    size_t n = sprintf(out, "PRIVMSG ");
    n += name_channel(out + n, c->speaks);
    memcpy(out + n, " :", 2);
    memcpy(out + n + 2, text, options.size);
    memcpy(out + n + 2 + options.size, "\r\nPING a\r\n", 10);
    return n + options.size + 12;
}

/* The first message, or one that is not like those before. */
static void take_message(Client *c, const char *line, size_t n, const char *verb) {
    const char *text = memmem(verb, line + n - verb, " :", 2);
    if (!text || line + n - (text + 2) != options.size + 2) {
        fail("another text", c, line, n);
        return;
    }
    c->verb = verb - line;
    c->unit = n;
    delivered(c, text + 2);
}

static void enter(Client *c) {
    char out[64];
    c->step = ENTERING;
    put(c, out, sprintf(out, "JOIN #c%05d\r\n", c->listens));
}

/* :server NUMBER ... */
static void take_numeric(Client *c, int number, const char *line, size_t n) {
    int welcomed = number == 376 || number == NO_MOTD; /* the end of the message of the day */
    if (number >= 400 && number != NO_MOTD) fail("error", c, line, n);
    else if (welcomed && options.pattern != PAIRS) enter(c);
    else if ((welcomed || (number == 366 && c->step == ENTERING)) && !c->ready) joined(c);
}

static void take_ping(Client *c, const char *line, size_t n) {
    char out[600];
    if (n < sizeof out) put(c, out, sprintf(out, "PONG%.*s", (int)(n - 4), line + 4));
}

static void take_line(Client *c, const char *line, size_t n) {
    if (line[0] != ':') {
        if (!memcmp(line, "PING", 4)) take_ping(c, line, n);
        else if (!memcmp(line, "ERROR", 5)) fail("error", c, line, n);
        return;
    }
    const char *verb = memchr(line, ' ', n);
    if (!verb) fail("no message", c, line, n);
    else if (!memcmp(verb, VERB, VERB_SIZE)) take_message(c, line, n, verb);
    else if (!memcmp(verb, " PONG ", 6)) answered(c);
    else if (verb[1] >= '0' && verb[1] <= '9') take_numeric(c, atoi(verb + 1), line, n);
}

/* Whether the line is a message like those before. */
static int alike(const Client *c, const char *line, size_t n) {
    return c->unit && n >= c->unit && line[c->unit - 1] == '\n' &&
           !memcmp(line + c->verb, VERB, VERB_SIZE);
}

static size_t take(Client *c, const char *data, size_t n) {
    size_t at = 0;
    for (;;) {
        for (; alike(c, data + at, n - at); at += c->unit)
            delivered(c, data + at + c->unit - options.size - 2);
        const char *end = memchr(data + at, '\n', n - at);
        if (!end) return at;
        take_line(c, data + at, end + 1 - (data + at));
        at = end + 1 - data;
    }
}

const Protocol irc = {
    .name = "irc",
    .prompt = 1,
    .at_once = 1000, /* InspIRCd lets people in once a second */
    .greet = greet,
    .say = say,
    .take = take,
};
