/* What the files of the load share.
 *
 * main.c       the phases of a run: join, warm up, measure, take what is still on its way
 * options.c    the command line
 * sockets.c    connections, reading, sending, and the waiting for both
 * talking.c    who sends what to whom and when; what each must get
 * histogram.c  delays
 * parley.c, redis.c, nats.c, irc.c, mqtt.c, websocket.c: one protocol each
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "histogram.h"

#define SECOND 1000000000ull /* in nanoseconds: all times are CLOCK_MONOTONIC in these */
#define JOIN_ROOM 1024       /* bytes for what a protocol says at once while joining */
#define MESSAGE_ROOM 512     /* bytes that a protocol may put around a text */

typedef struct {
    int fd, index;
    int sender;  /* its number among the senders, or -1 */
    int listens; /* the channel that it hears, or -1 */
    int speaks;  /* the channel that it sends to, or -1 */
    int step;    /* how far it is in joining, as its protocol counts */
    int ready;   /* it has joined */
    int writing; /* it waits until its socket takes more */
    char *rest;  /* the beginning of something whose end has not come */
    size_t rest_size;
    char *out; /* what the socket did not take: from out_at to out_end */
    size_t out_at, out_end, out_room;
    char *head; /* what every message to it begins with, if that is always the same */
    size_t head_size;
    size_t verb, unit; /* IRC: where in a line PRIVMSG stands, and bytes of a line */
    uint64_t got, sent, acked, last_seq;
    uint32_t *next; /* sampled: of each sender to its channel, the number expected next */
} Client;

typedef struct {
    const char *name;
    int apart;  /* senders are connections of their own, which hear nothing */
    int echoes; /* a sender hears its own messages too */
    /* What has come is acknowledged at once: its servers leave Nagle's algorithm on, and would
     * wait for that up to 40 ms. */
    int prompt;
    int at_once; /* connections that are opened and have not joined yet, at most */
    /* Write into out what is said on a new connection; return its size. */
    size_t (*greet)(Client *, char *out);
    /* Write a message with this text into out; return its size. */
    size_t (*say)(Client *, char *out, const char *text);
    /* Take what is whole of n bytes; return how many were taken. */
    size_t (*take)(Client *, const char *data, size_t n);
    /* Write what keeps an idle connection alive, or NULL. */
    size_t (*keep)(Client *, char *out);
} Protocol;

extern const Protocol parley, parley_web, redis, nats, irc, mqtt, websocket;

typedef enum { BROADCAST, PAIRS, ROOMS } Pattern;

typedef struct {
    const Protocol *protocol;
    Pattern pattern;
    const char *host, *source, *prefix;
    int port, clients, senders, inflight, size, rooms, idle, at_once;
    double rate, warmup, seconds;
} Options;

extern Options options;

extern struct Counts {
    uint64_t deliveries, acks, sent, bytes, errors;
    int ready;
} counts;

/* options.c */
void read_options(int argc, char **argv);

/* sockets.c */
uint64_t now(void);
void open_sockets(void);
void connect_client(Client *c);
void put(Client *c, const char *data, size_t n);
void turn(uint64_t wait); /* wait at most so long for something to happen, and deal with it */
uint64_t time_waited(void); /* nanoseconds in which nothing happened, but when idle */
size_t take_alike(Client *c, const char *data, size_t n, size_t tail);
void watch_stdin(void);
int stdin_closed(void);

/* talking.c */
extern Client *all;
extern int total, channels;
extern uint64_t read_at; /* when the bytes at hand were read; for delays */
extern Histogram delays, lateness;
void make_clients(void);
void start_talking(uint64_t at);
void stop_talking(void);
void send_more(Client *c); /* closed loop: what an answer has made room for */
uint64_t send_due(void);   /* open loop: what is due; return the time until the next is */
void check(Client *c, const char *text);
uint64_t expected(const Client *c);
void fail(const char *what, const Client *c, const char *at, size_t n);

static inline void joined(Client *c) {
    c->ready = 1;
    counts.ready++;
}

static inline void answered(Client *c) {
    c->acked++;
    counts.acks++;
}

/* A message has come, whose text begins here. */
static inline void delivered(Client *c, const char *text) {
    c->got++;
    counts.deliveries++;
    if (c->next) check(c, text);
}

#endif
