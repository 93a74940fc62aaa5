/* A load for chat servers: N clients of which S send, K messages in flight each.
 *
 * One thread, epoll. A sender sends its next message when the server has answered an earlier
 * one (Parley: its `ok`, after the sync; Redis: the reply to PUBLISH). Every client counts what
 * it gets. Checked on every client: the count at the end, and (Parley) that seq only grows. On
 * every 16th client also: each sender's messages all come, once, in order.
 *
 *   load parley|redis PORT CLIENTS SENDERS INFLIGHT SIZE WARMUP_S SECONDS
 *
 * Prints one JSON object. Exits with 1 if anything was lost, doubled or out of order.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (1 << 20)
#define SAMPLE 16

typedef struct {
    int fd, index, sender; /* sender: its number, or -1 */
    int receives, ready;
    char *rest;
    size_t rest_len;
    char *out; /* what the socket did not take */
    size_t out_len;
    uint64_t got, last_seq;
    uint32_t *next; /* of each sender, the number expected next; sampled clients only */
    uint64_t sent, acked;
} Client;

static int redis, port, clients, senders, inflight, size, total;
static Client *all;
static char *payload, buffer[READ_SIZE + (1 << 18)];
static uint64_t deliveries, acks, errors;
static int sending, ready_count, epfd;
static long run; /* makes the refs of this run its own: a server takes a ref once */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what, Client *c, const char *at, size_t n) {
    if (errors++ < 5)
        fprintf(stderr, "load: %s at client %d: %.*s\n", what, c->index, (int)(n < 200 ? n : 200), at);
}

static void put(Client *c, const char *data, size_t n) {
    if (!c->out_len) {
        ssize_t done = send(c->fd, data, n, MSG_NOSIGNAL);
        if (done == (ssize_t)n) return;
        if (done > 0) data += done, n -= done;
    }
    c->out = realloc(c->out, c->out_len + n);
    memcpy(c->out + c->out_len, data, n);
    c->out_len += n;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &e);
}

static size_t message(Client *c, char *out) {
    char head[32];
    int n = snprintf(head, sizeof head, "%04d:%08llu:", c->sender, (unsigned long long)c->sent);
    memcpy(payload, head, n);
    char *p = out;
    if (redis) {
        p += sprintf(p, "*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$%d\r\n", size);
        memcpy(p, payload, size), p += size;
        memcpy(p, "\r\n", 2), p += 2;
    } else {
        char body[128];
        int b = sprintf(body, "{\"purpose\":\"message\",\"ref\":\"%lx-%d-%llu\",\"text\":\"",
                        run, c->sender, (unsigned long long)c->sent);
        p += sprintf(p, "$%d%s", b + size + 2, body);
        memcpy(p, payload, size), p += size;
        memcpy(p, "\"}$", 3), p += 3;
    }
    c->sent++;
    return p - out;
}

static void send_more(Client *c) {
    static char out[1 << 20];
    size_t n = 0;
    while (sending && c->sent - c->acked < (uint64_t)inflight && n < sizeof out - size - 256)
        n += message(c, out + n);
    if (n) put(c, out, n);
}

static void check(Client *c, const char *text) {
    int who = atoi(text);
    uint32_t number = (uint32_t)strtoul(text + 5, NULL, 10);
    if (who < 0 || who >= senders) { fail("unknown sender", c, text, 20); return; }
    if (number != c->next[who]) fail("lost, doubled or out of order", c, text, 20);
    c->next[who] = number + 1;
}

/* Take whole messages from data; return the bytes taken. */
static size_t take_parley(Client *c, const char *data, size_t n) {
    size_t at = 0;
    while (at < n) {
        size_t length = 0, p = at + 1;
        while (p < n && data[p] >= '0' && data[p] <= '9') length = length * 10 + data[p++] - '0';
        if (p >= n || p + length + 1 > n) break;
        const char *body = data + p;
        if (data[at] != '$' || body[0] != '{' || body[length] != '$') { fail("bad frame", c, data + at, n - at); return n; }
        if (body[12] == 'm') { /* {"purpose":"message","seq":N */
            uint64_t seq = 0;
            for (const char *d = body + 27; *d >= '0' && *d <= '9'; d++) seq = seq * 10 + *d - '0';
            if (seq <= c->last_seq) fail("seq not ascending", c, body, length);
            c->last_seq = seq;
            c->got++, deliveries++;
            if (c->next) {
                const char *text = memmem(body, length, "\"text\":\"", 8);
                if (text) check(c, text + 8); else fail("no text", c, body, length);
            }
        } else if (body[12] == 'o') {
            c->acked++, acks++;
        } else if (body[12] == 'w') {
            c->ready = 1, ready_count++;
        } else if (body[12] == 'e') {
            fail("error", c, body, length);
        }
        at = p + length + 1;
    }
    return at;
}

static size_t take_redis(Client *c, const char *data, size_t n) {
    static char head[64];
    static size_t head_len;
    if (!head_len) head_len = sprintf(head, "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$%d\r\n", size);
    size_t at = 0;
    while (at < n) {
        if (data[at] == ':') {
            const char *end = memchr(data + at, '\n', n - at);
            if (!end) break;
            if (c->sender >= 0) c->acked++, acks++;
            at = end + 1 - data;
        } else if (!c->ready) { /* the answer to SUBSCRIBE ends in :1\r\n */
            const char *end = memmem(data + at, n - at, ":1\r\n", 4);
            if (!end) break;
            c->ready = 1, ready_count++;
            at = end + 4 - data;
        } else {
            if (n - at < head_len + size + 2) break;
            if (memcmp(data + at, head, head_len)) { fail("bad message", c, data + at, n - at); return n; }
            c->got++, deliveries++;
            if (c->next) check(c, data + at + head_len);
            at += head_len + size + 2;
        }
    }
    return at;
}

static void readable(Client *c) {
    memcpy(buffer, c->rest, c->rest_len);
    ssize_t n = recv(c->fd, buffer + c->rest_len, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        fail("connection lost", c, "", 0);
        epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    size_t have = c->rest_len + n;
    size_t used = redis ? take_redis(c, buffer, have) : take_parley(c, buffer, have);
    if (have - used > (1 << 18)) { fail("frame too long", c, buffer + used, 60); used = have; }
    c->rest_len = have - used;
    if (c->rest_len) {
        c->rest = realloc(c->rest, c->rest_len);
        memcpy(c->rest, buffer + used, c->rest_len);
    }
    if (c->sender >= 0) send_more(c);
}

static void turn(int timeout_ms) {
    static struct epoll_event events[1024];
    int n = epoll_wait(epfd, events, 1024, timeout_ms);
    for (int i = 0; i < n; i++) {
        Client *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT && c->out_len) {
            ssize_t done = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
            if (done > 0) memmove(c->out, c->out + done, c->out_len -= done);
            if (!c->out_len) {
                struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &e);
            }
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
}

static void join(Client *c) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a)) { perror("connect"); exit(2); }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &e);
    char out[256], body[200];
    if (redis) {
        if (c->receives) put(c, out, sprintf(out, "*2\r\n$9\r\nSUBSCRIBE\r\n$2\r\nch\r\n"));
        else c->ready = 1, ready_count++;
    } else {
        int n = sprintf(body, "{\"purpose\":\"join\",\"nick\":\"load%d\",\"id\":1,\"time\":0,\"bot\":true}", c->index);
        put(c, out, sprintf(out, "$%d%s$", n, body));
    }
}

int main(int argc, char **argv) {
    if (argc != 9) { fprintf(stderr, "usage: load parley|redis PORT CLIENTS SENDERS INFLIGHT SIZE WARMUP SECONDS\n"); return 2; }
    redis = !strcmp(argv[1], "redis");
    port = atoi(argv[2]), clients = atoi(argv[3]), senders = atoi(argv[4]);
    inflight = atoi(argv[5]), size = atoi(argv[6]);
    double warmup = atof(argv[7]), seconds = atof(argv[8]);
    if (size < 20 || senders > clients || senders > 9999) { fprintf(stderr, "load: size >= 20, senders <= clients\n"); return 2; }
    run = (long)time(NULL) << 20 ^ getpid();
    payload = malloc(size);
    memset(payload, 'x', size);
    total = redis ? clients + senders : clients;
    all = calloc(total, sizeof *all);
    epfd = epoll_create1(0);
    for (int i = 0; i < total; i++) {
        Client *c = &all[i];
        c->index = i;
        c->receives = i < clients;
        c->sender = redis ? (i >= clients ? i - clients : -1) : (i < senders ? i : -1);
        if (c->receives && c->sender < 0 && i % SAMPLE == 0) c->next = calloc(senders, sizeof *c->next);
        join(c);
        while (ready_count < i - 50) turn(1000);
    }
    while (ready_count < total && !errors) turn(1000);
    for (double until = now() + 1.5; now() < until;) turn(50); /* let the joins' news pass */
    sending = 1;
    double start = now();
    for (int i = 0; i < total; i++) if (all[i].sender >= 0) send_more(&all[i]);
    while (now() - start < warmup && !errors) turn(100);
    struct rusage u0, u1;
    getrusage(RUSAGE_SELF, &u0);
    uint64_t d0 = deliveries, a0 = acks;
    double t0 = now();
    while (now() - t0 < seconds && !errors) turn(100);
    double took = now() - t0;
    uint64_t d = deliveries - d0, a = acks - a0;
    getrusage(RUSAGE_SELF, &u1);
    sending = 0;
    uint64_t sent = 0;
    for (int i = 0; i < total; i++) sent += all[i].sent;
    /* Everything sent must arrive at everybody it is for. */
    for (double until = now() + 20; now() < until && !errors;) {
        turn(100);
        uint64_t missing = 0;
        for (int i = 0; i < clients; i++) missing += sent - (redis ? 0 : all[i].sent) - all[i].got;
        if (!missing && acks >= sent) break;
    }
    for (int i = 0; i < clients; i++)
        if (all[i].got != sent - (redis ? 0 : all[i].sent)) fail("wrong count at the end", &all[i], "", 0);
    double cpu = (u1.ru_utime.tv_sec - u0.ru_utime.tv_sec) + (u1.ru_utime.tv_usec - u0.ru_utime.tv_usec) / 1e6 +
                 (u1.ru_stime.tv_sec - u0.ru_stime.tv_sec) + (u1.ru_stime.tv_usec - u0.ru_stime.tv_usec) / 1e6;
    printf("{\"deliveries_per_s\":%.0f,\"messages_per_s\":%.0f,\"cpu\":%.3f,\"sent\":%llu,\"errors\":%llu}\n",
           d / took, a / took, cpu / took, (unsigned long long)sent, (unsigned long long)errors);
    return errors ? 1 : 0;
}
