/* MQTT 3.1.1. Messages are published with QoS 1, whose PUBACK is the answer, and subscribed to with
 * QoS 0. A sender hears its own messages too. */
#include "load.h"

#define CONNACK 0x20
#define PUBLISH 0x30
#define PUBLISH_QOS_1 0x32
#define PUBACK 0x40
#define SUBACK 0x90
#define TOPIC_SIZE 6

/* The remaining length, seven bits a byte. */
static size_t write_length(char *out, size_t length) {
    size_t n = 0;
    for (; length > 127; length >>= 7) out[n++] = length | 128;
    out[n++] = length;
    return n;
}

static size_t write_word(char *out, unsigned value) {
    out[0] = value >> 8;
    out[1] = value;
    return 2;
}

static size_t write_string(char *out, const char *value) {
    size_t n = strlen(value);
    write_word(out, n);
    memcpy(out + 2, value, n);
    return 2 + n;
}

static size_t write_topic(char *out, int channel) {
    char name[16];
    sprintf(name, "c%05d", channel);
    return write_string(out, name);
}

static size_t greet(Client *c, char *out) {
    char name[48];
    sprintf(name, "%s%05d", options.prefix, c->index);
    out[0] = 0x10; /* CONNECT */
    out[1] = 10 + 2 + strlen(name);
    size_t n = 2 + write_string(out + 2, "MQTT");
    memcpy(out + n, "\4\2\0", 4); /* version 3.1.1, a clean session, no keep alive */
    c->head = malloc(64);
    c->head[0] = PUBLISH;
    c->head_size = 1 + write_length(c->head + 1, 2 + TOPIC_SIZE + options.size);
    c->head_size += write_topic(c->head + c->head_size, c->listens);
    return n + 4 + write_string(out + n + 4, name);
}

static void subscribe(Client *c) {
    char out[32] = {(char)0x82, 2 + 2 + TOPIC_SIZE + 1, 0, 1};
    size_t n = 4 + write_topic(out + 4, c->listens);
    out[n++] = 0; /* QoS */
    put(c, out, n);
}

static size_t say(Client *c, char *out, const char *text) {
    out[0] = PUBLISH_QOS_1;
    size_t n = 1 + write_length(out + 1, 2 + TOPIC_SIZE + 2 + options.size);
    n += write_topic(out + n, c->speaks);
    n += write_word(out + n, c->sent % 65535 + 1);
    memcpy(out + n, text, options.size);
    return n + options.size;
}

static void take_packet(Client *c, const char *packet, size_t n) {
    switch ((unsigned char)packet[0]) {
    case CONNACK:
        if (packet[3]) fail("error", c, "CONNACK", 7);
        else subscribe(c);
        break;
    case SUBACK: joined(c); break;
    case PUBACK: answered(c); break;
    default: fail("another packet", c, packet, n);
    }
}

/* The size of the packet, or 0 if its length is not there yet. */
static size_t packet_size(const char *packet, size_t n) {
    size_t length = 0;
    for (size_t i = 1; i < n && i < 5; i++) {
        length |= (size_t)(packet[i] & 127) << 7 * (i - 1);
        if (!(packet[i] & 128)) return 1 + i + length;
    }
    return 0;
}

static size_t take(Client *c, const char *data, size_t n) {
    size_t at = 0;
    for (;;) {
        at += take_alike(c, data + at, n - at, 0);
        size_t size = packet_size(data + at, n - at);
        if (!size || size > n - at) return at;
        take_packet(c, data + at, size);
        at += size;
    }
}

const Protocol mqtt = {
    .name = "mqtt",
    .echoes = 1,
    .at_once = 50,
    .greet = greet,
    .say = say,
    .take = take,
};
