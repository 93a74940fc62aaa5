/* The command line. */
#include <getopt.h>

#include "load.h"

Options options = {
    .host = "127.0.0.1", .source = "127.0.0.1", .prefix = "load", .clients = 1000, .inflight = 1,
    .size = 100, .rooms = 100, .warmup = 1, .seconds = 4,
};

static const Protocol *const protocols[] = {&parley, &parley_web, &redis, &nats,
                                          &irc,    &mqtt,       &websocket};
static const char *const patterns[] = {"broadcast", "pairs", "rooms"};

static const struct option names[] = {
    {"protocol", 1, 0, 'p'}, {"port", 1, 0, 'P'},    {"host", 1, 0, 'h'},
    {"pattern", 1, 0, 'a'},  {"clients", 1, 0, 'c'}, {"senders", 1, 0, 's'},
    {"inflight", 1, 0, 'i'}, {"size", 1, 0, 'z'},    {"rooms", 1, 0, 'r'},
    {"rate", 1, 0, 'R'},     {"warmup", 1, 0, 'w'},  {"seconds", 1, 0, 't'},
    {"at-once", 1, 0, 'o'},  {"idle", 0, 0, 'I'},     {"source", 1, 0, 'S'},  {"prefix", 1, 0, 'x'},
    {0, 0, 0, 0},
};

static void refuse(const char *why) {
    fprintf(stderr,
            "load: %s\n"
            "usage: load --protocol parley|parley-web|redis|nats|irc|mqtt|websocket --port P [--host H]\n"
            "  [--pattern broadcast|pairs|rooms] [--clients N] [--senders S, 0: everybody]\n"
            "  [--inflight K] [--size BYTES] [--rooms R] [--rate MESSAGES_A_SECOND, 0: by answers]\n"
            "  [--warmup S] [--seconds S] [--idle] [--at-once CONNECTIONS] [--source FIRST_ADDRESS] [--prefix WORD]\n",
            why);
    exit(2);
}

static const Protocol *protocol_named(const char *name) {
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(protocols[i]->name, name)) return protocols[i];
    refuse("no such protocol");
    return NULL;
}

static Pattern pattern_named(const char *name) {
    for (int i = BROADCAST; i <= ROOMS; i++)
        if (!strcmp(patterns[i], name)) return i;
    refuse("no such pattern");
    return BROADCAST;
}

static void take_option(int name, const char *value) {
    switch (name) {
    case 'p': options.protocol = protocol_named(value); break;
    case 'P': options.port = atoi(value); break;
    case 'h': options.host = value; break;
    case 'a': options.pattern = pattern_named(value); break;
    case 'c': options.clients = atoi(value); break;
    case 's': options.senders = atoi(value); break;
    case 'i': options.inflight = atoi(value); break;
    case 'z': options.size = atoi(value); break;
    case 'r': options.rooms = atoi(value); break;
    case 'R': options.rate = atof(value); break;
    case 'w': options.warmup = atof(value); break;
    case 't': options.seconds = atof(value); break;
    case 'o': options.at_once = atoi(value); break;
    case 'I': options.idle = 1; break;
    case 'S': options.source = value; break;
    case 'x': options.prefix = value; break;
    default: refuse("no such option");
    }
}

void read_options(int argc, char **argv) {
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;)
        take_option(name, optarg);
    if (optind < argc) refuse("too many words");
    if (!options.protocol || options.port <= 0) refuse("a protocol and a port are needed");
    if (options.clients < 1 || options.clients > 100000) refuse("clients: 1 to 100,000");
    if (options.pattern == PAIRS && options.clients % 2) refuse("pairs: an even number of clients");
    if (options.pattern == PAIRS) options.senders = options.clients / 2;
    if (!options.senders) options.senders = options.clients;
    if (options.pattern != ROOMS) options.rooms = 1;
    if (options.rooms < 1 || options.rooms > options.clients) refuse("rooms: 1 to clients");
    if (options.idle) options.senders = 0;
    if (options.at_once < 1) options.at_once = options.protocol->at_once;
    if (options.senders < 0 || options.senders > options.clients || options.senders > 10000)
        refuse("senders: at most as many as clients, and 10,000");
    if (options.inflight < 1 || options.inflight > 10000) refuse("in flight: 1 to 10,000");
    if (options.size < 20 || options.size > 65000) refuse("size: 20 to 65,000");
    if (options.rate > 0 && options.size < 31) refuse("with a rate, size: at least 31");
    if (strlen(options.prefix) > 20) refuse("prefix: at most 20 letters");
}
