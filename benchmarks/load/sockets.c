/* Connections, reading, sending, and the waiting for both. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define READ_SIZE (1 << 20)
#define REST_SIZE (1 << 18) /* the longest that may wait for its end */
#define EVENTS 1024
#define PER_ADDRESS 25000 /* connections from one source address: there are about 28,000 ports */

static int epoll, stdin_ended;
static uint64_t waited;
static char buffer[REST_SIZE + READ_SIZE];

uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

void open_sockets(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1); /* wake when a message is due, not 50 microseconds later */
    epoll = epoll_create1(0);
}

static void watch(Client *c, int how, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    c->writing = writing;
    epoll_ctl(epoll, how, c->fd, &event);
}

static struct sockaddr_in address(const char *host, int port) {
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &found.sin_addr) != 1) {
        fprintf(stderr, "load: no IPv4 address: %s\n", host);
        exit(2);
    }
    return found;
}

static void give_up(const char *what) {
    perror(what);
    exit(2);
}

void connect_client(Client *c) {
    char hello[JOIN_ROOM];
    int one = 1;
    struct sockaddr_in to = address(options.host, options.port), from = address(options.source, 0);
    from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + c->index / PER_ADDRESS);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) give_up("load: socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) give_up("load: bind");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) give_up("load: connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, 0);
    put(c, hello, options.protocol->greet(c, hello));
}

/* Keep what the socket does not take now. */
static void keep(Client *c, const char *data, size_t n) {
    if (c->out_end + n > c->out_room) {
        memmove(c->out, c->out + c->out_at, c->out_end -= c->out_at);
        c->out_at = 0;
        c->out_room = 2 * (c->out_end + n);
        c->out = realloc(c->out, c->out_room);
    }
    memcpy(c->out + c->out_end, data, n);
    c->out_end += n;
    if (!c->writing) watch(c, EPOLL_CTL_MOD, 1);
}

void put(Client *c, const char *data, size_t n) {
    ssize_t done = c->writing ? 0 : send(c->fd, data, n, MSG_NOSIGNAL);
    if (done < 0) done = 0; /* full; a connection that is lost is seen when it is read */
    if ((size_t)done < n) keep(c, data + done, n - done);
}

static void writable(Client *c) {
    ssize_t done = send(c->fd, c->out + c->out_at, c->out_end - c->out_at, MSG_NOSIGNAL);
    if (done > 0) c->out_at += done;
    if (c->out_at < c->out_end) return;
    c->out_at = c->out_end = 0;
    watch(c, EPOLL_CTL_MOD, 0);
}

/* Keep what is not whole until more comes. */
static void keep_rest(Client *c, const char *data, size_t n) {
    if (n > REST_SIZE) {
        fail("no end", c, data, 60);
        n = 0;
    }
    if (n) {
        c->rest = realloc(c->rest, n);
        memcpy(c->rest, data, n);
    }
    c->rest_size = n;
}

static void acknowledge(Client *c) {
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

static void readable(Client *c) {
    if (c->rest_size) memcpy(buffer, c->rest, c->rest_size);
    ssize_t n = recv(c->fd, buffer + c->rest_size, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        fail("connection lost", c, "", 0);
        epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    if (options.rate > 0) read_at = now();
    if (options.protocol->prompt) acknowledge(c);
    counts.bytes += n;
    size_t have = c->rest_size + n, used = options.protocol->take(c, buffer, have);
    keep_rest(c, buffer + used, have - used);
    if (c->sender >= 0) send_more(c);
}

/* Take the messages at the beginning of data that begin with the client's head, with tail bytes
 * after the text; return the bytes taken. */
size_t take_alike(Client *c, const char *data, size_t n, size_t tail) {
    size_t unit = c->head_size + options.size + tail, at = 0;
    for (; n - at >= unit && !memcmp(data + at, c->head, c->head_size); at += unit)
        delivered(c, data + at + c->head_size);
    return at;
}

void watch_stdin(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event)) stdin_ended = 1; /* a file */
}

int stdin_closed(void) {
    return stdin_ended;
}

static void read_stdin(void) {
    char ignored[512];
    if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) stdin_ended = 1;
}

uint64_t time_waited(void) {
    return waited;
}

/* Wait for events for so many nanoseconds. While it measures the load looks again and again instead
 * of sleeping: to wake another core is a third of what a send costs here, and how often it would have
 * to be woken depends on the server's pace, so that a slower one would pay more for each send. */
static int wait_for(struct epoll_event *events, uint64_t wait) {
    if (options.idle) {
        struct timespec most = {.tv_sec = wait / SECOND, .tv_nsec = wait % SECOND};
        return epoll_pwait2(epoll, events, EVENTS, &most, NULL);
    }
    uint64_t began = now(), at = began;
    int n;
    while (!(n = epoll_wait(epoll, events, EVENTS, 0)) && at - began < wait) at = now();
    waited += at - began;
    return n;
}

void turn(uint64_t wait) {
    static struct epoll_event events[EVENTS];
    uint64_t due = send_due();
    if (due < wait) wait = due;
    int n = wait_for(events, wait);
    for (int i = 0; i < n; i++) {
        Client *c = events[i].data.ptr;
        if (!c) {
            read_stdin();
            continue;
        }
        if (events[i].events & EPOLLOUT && c->writing) writable(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        send_due();
    }
}
