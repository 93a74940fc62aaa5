/* Who sends what to whom and when, and what each must get.
 *
 * A text is the sender's number (4 digits), ':', the message's (8 digits), ':', and with a rate
 * the time it was due (16 hex digits) and ':'; then x up to its size.
 *
 * A channel is a room, a topic or a person: what a message is sent to. Sender number s of S is
 * with channels shared by all the one of channel s % channels, in place s / channels there.
 */
#include "load.h"

#define SAMPLE 16     /* every so manyth receiver checks each message */
#define STAMP_AT 14   /* where in a text its time stands */
#define BATCH 1048576 /* bytes made before they are sent */

struct Counts counts;
Client *all;
int total, channels;
uint64_t read_at;
Histogram delays, lateness;

static Client **speakers;    /* the senders, by number */
static uint64_t *spoken;     /* messages sent to each channel */
static char *text;
static int talking;
static uint64_t began, said, next_due; /* open loop: its start, messages so far, the next's time */

void fail(const char *what, const Client *c, const char *at, size_t n) {
    if (counts.errors++ < 5)
        fprintf(stderr, "load: %s at client %d: %.*s\n", what, c->index, (int)(n < 200 ? n : 200), at);
}

/* ---- who ---- */

static void set_channels(Client *c) {
    c->listens = c->speaks = options.pattern == PAIRS ? c->index : c->index % channels;
    if (options.pattern == PAIRS) c->speaks = c->index ^ 1;
}

/* Client number i of those who hear. */
static void make_listener(Client *c, int i) {
    c->index = i;
    c->sender = -1;
    set_channels(c);
    if (options.protocol->apart) c->speaks = -1;
}

/* The client that is sender number s. */
static Client *speaker(int s) {
    int i = options.pattern == PAIRS ? 2 * s : s;
    if (!options.protocol->apart) return &all[i];
    Client *c = &all[options.clients + s];
    c->index = i;
    set_channels(c);
    c->listens = -1;
    c->index = options.clients + s;
    return c;
}

static int place_of(int sender) {
    return options.pattern == PAIRS ? 0 : sender / channels;
}

static void sample_receivers(void) {
    int places = options.senders ? place_of(options.senders - 1) + 1 : 0;
    int first = options.pattern == PAIRS, step = options.pattern == PAIRS ? 2 : 1;
    int last = options.clients - 1;
    for (int i = first; i <= last; i += step)
        if ((i - first) / step % SAMPLE == 0 || i == last)
            all[i].next = calloc(places, sizeof *all[i].next);
}

void make_clients(void) {
    channels = options.pattern == PAIRS ? options.clients : options.rooms;
    total = options.clients + (options.protocol->apart ? options.senders : 0);
    all = calloc(total, sizeof *all);
    speakers = calloc(options.senders + 1, sizeof *speakers);
    spoken = calloc(channels, sizeof *spoken);
    for (int i = 0; i < options.clients; i++) make_listener(&all[i], i);
    for (int s = 0; s < options.senders; s++) {
        speakers[s] = speaker(s);
        speakers[s]->sender = s;
    }
    if (options.senders) sample_receivers();
    text = malloc(options.size);
    memset(text, 'x', options.size);
}

uint64_t expected(const Client *c) {
    if (c->listens < 0) return 0;
    int own = !options.protocol->echoes && c->listens == c->speaks;
    return spoken[c->listens] - (own ? c->sent : 0);
}

/* ---- what ---- */

static void write_digits(char *out, uint64_t value, int digits) {
    for (; digits--; value /= 10) out[digits] = '0' + value % 10;
}

static void write_stamp(char *out, uint64_t value) {
    for (int digit = 16; digit--; value >>= 4) out[digit] = "0123456789abcdef"[value & 15];
    out[16] = ':';
}

static uint64_t digits_at(const char *at, int digits) {
    uint64_t value = 0;
    for (; digits--; at++) value = value * 10 + (*at - '0');
    return value;
}

static uint64_t stamp_at(const char *at) {
    uint64_t value = 0;
    for (const char *end = at + 16; at < end; at++)
        value = value << 4 | (*at <= '9' ? *at - '0' : *at - 'a' + 10);
    return value;
}

/* Make the next message of c, due at that time; return its size. */
static size_t make_message(Client *c, char *out, uint64_t due) {
    write_digits(text, c->sender, 4);
    write_digits(text + 5, c->sent, 8);
    text[4] = text[13] = ':';
    if (due) write_stamp(text + STAMP_AT, due);
    size_t n = options.protocol->say(c, out, text);
    c->sent++;
    counts.sent++;
    spoken[c->speaks]++;
    return n;
}

static int in_window(uint64_t due) {
    uint64_t from = began + options.warmup * SECOND;
    return due >= from && due < from + options.seconds * SECOND;
}

void check(Client *c, const char *at) {
    uint64_t who = digits_at(at, 4);
    if (at[4] != ':' || who >= (uint64_t)options.senders || speakers[who]->speaks != c->listens) {
        fail("a message of nobody", c, at, 20);
        return;
    }
    uint32_t number = digits_at(at + 5, 8), *next = &c->next[place_of(who)];
    if (number != *next) fail("lost, doubled or out of order", c, at, 20);
    *next = number + 1;
    if (options.rate > 0) {
        uint64_t due = stamp_at(at + STAMP_AT);
        if (in_window(due)) record(&delays, read_at - due);
    }
}

/* ---- when ---- */

void send_more(Client *c) {
    static char out[BATCH];
    size_t n = 0, room = sizeof out - options.size - MESSAGE_ROOM;
    if (options.rate > 0 || !talking) return;
    while (c->sent - c->acked < (uint64_t)options.inflight && n < room)
        n += make_message(c, out + n, 0);
    if (n) put(c, out, n);
}

uint64_t send_due(void) {
    static char out[1 << 17];
    if (!talking || options.rate <= 0) return SECOND;
    uint64_t at;
    while (next_due <= (at = now())) {
        Client *c = speakers[said % options.senders];
        put(c, out, make_message(c, out, next_due));
        if (in_window(next_due)) record(&lateness, at - next_due);
        next_due = began + ++said * (SECOND / options.rate);
    }
    return next_due - at;
}

void start_talking(uint64_t at) {
    talking = 1;
    began = next_due = at;
    for (int s = 0; s < options.senders; s++) send_more(speakers[s]);
}

void stop_talking(void) {
    talking = 0;
}
