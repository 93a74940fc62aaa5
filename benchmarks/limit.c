/* The limit: what a server can do that speaks Parley's frames and does nothing but the fan-out.
 *
 * One thread, epoll. A tick reads everybody who is ready, gives each message its seq, puts all of
 * them into one buffer, and sends each client its share in one call: the whole buffer, or to who
 * spoke the slices between its own messages, with `ok` in their places. Nothing is stored,
 * nothing checked but the frames; there is one room.
 *
 *   limit PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 4096
#define READ_SIZE (64 * 1024)
#define LONGEST (64 * 1024)     /* the longest frame */
#define AROUND 256              /* bytes around a text, at most */
#define NAMES 64                /* bytes of a nick or a ref, at most */
#define SLICES 1024             /* what the kernel takes in one call */
#define KIND_AT 12              /* {"purpose":"message",... */

typedef struct {
    char *data;
    size_t size, room;
} Buffer;

/* A client's own message in this tick: from `start` to `end` in `said`, instead of which it gets
 * `size` bytes at `answer` in `answers`. */
typedef struct {
    size_t start, end, answer, size;
} Own;

typedef struct Client {
    int fd, joined;
    size_t place; /* in `members` */
    char nick[NAMES];
    Buffer rest, backlog;
    Own *own;
    size_t owns, own_room;
} Client;

static int poll_fd, listener;
static Client **members;
static size_t member_count, member_room;
static Buffer said, answers;
static unsigned long long seq;
static char tick_time[32];
static char input[LONGEST + READ_SIZE];

/* Make room for n more bytes. */
static char *more(Buffer *b, size_t n) {
    if (b->size + n > b->room) {
        b->room = 2 * (b->size + n);
        b->data = realloc(b->data, b->room);
    }
    return b->data + b->size;
}

static void append(Buffer *b, const char *data, size_t n) {
    memcpy(more(b, n), data, n);
    b->size += n;
}

static void append_frame(Buffer *b, const char *head, size_t n, const char *text, size_t size,
                         const char *tail, size_t tail_size) {
    char length[16];
    append(b, length, sprintf(length, "$%zu", n + size + tail_size));
    append(b, head, n);
    append(b, text, size);
    append(b, tail, tail_size);
    append(b, "$", 1);
}

static void watch(Client *c, int how, int writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poll_fd, how, c->fd, &event);
}

/* ---- sending ---- */

static void send_slices(Client *c, struct iovec *slices, size_t n) {
    struct msghdr all = {.msg_iov = slices, .msg_iovlen = n < SLICES ? n : SLICES};
    ssize_t done = c->backlog.size ? 0 : sendmsg(c->fd, &all, MSG_NOSIGNAL);
    size_t taken = done > 0 ? done : 0, waiting = c->backlog.size;
    for (size_t i = 0; i < n; i++) {
        size_t skip = taken < slices[i].iov_len ? taken : slices[i].iov_len;
        taken -= skip;
        append(&c->backlog, (char *)slices[i].iov_base + skip, slices[i].iov_len - skip);
    }
    if (c->backlog.size && !waiting) watch(c, EPOLL_CTL_MOD, 1);
}

static void send_backlog(Client *c) {
    ssize_t done = send(c->fd, c->backlog.data, c->backlog.size, MSG_NOSIGNAL);
    if (done > 0) memmove(c->backlog.data, c->backlog.data + done, c->backlog.size -= done);
    if (!c->backlog.size) {
        free(c->backlog.data);
        c->backlog = (Buffer){0};
        watch(c, EPOLL_CTL_MOD, 0);
    }
}

/* To who spoke: the slices between its own messages, and the answers in their places. */
static void send_share(Client *c) {
    static struct iovec *slices;
    static size_t room;
    size_t n = 0, at = 0;
    if (2 * c->owns + 1 > room) slices = realloc(slices, (room = 2 * c->owns + 1) * sizeof *slices);
    for (Own *own = c->own; own < c->own + c->owns; at = own++->end) {
        if (own->start > at) slices[n++] = (struct iovec){said.data + at, own->start - at};
        slices[n++] = (struct iovec){answers.data + own->answer, own->size};
    }
    if (said.size > at) slices[n++] = (struct iovec){said.data + at, said.size - at};
    c->owns = 0;
    send_slices(c, slices, n);
}

static void send_whole(Client *c) {
    ssize_t done = c->backlog.size ? 0 : send(c->fd, said.data, said.size, MSG_NOSIGNAL);
    if (done == (ssize_t)said.size) return;
    if (done < 0) done = 0;
    if (!c->backlog.size) watch(c, EPOLL_CTL_MOD, 1);
    append(&c->backlog, said.data + done, said.size - done);
}

static void send_all(void) {
    if (!said.size) return;
    for (size_t i = 0; i < member_count; i++) {
        if (members[i]->owns) send_share(members[i]);
        else send_whole(members[i]);
    }
    said.size = answers.size = 0;
}

/* ---- coming and going ---- */

static void add_member(Client *c) {
    if (member_count == member_room) {
        member_room = 2 * member_room + 64;
        members = realloc(members, member_room * sizeof *members);
    }
    c->joined = 1;
    c->place = member_count;
    members[member_count++] = c;
}

static void remove_client(Client *c) {
    if (c->joined) {
        members[c->place] = members[--member_count];
        members[c->place]->place = c->place;
    }
    close(c->fd);
    free(c->rest.data);
    free(c->backlog.data);
    free(c->own);
    free(c);
}

static void accept_clients(void) {
    for (int fd, one = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        Client *c = calloc(1, sizeof *c);
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(c, EPOLL_CTL_ADD, 0);
    }
}

/* ---- reading ---- */

/* The string that is the value of a field, as it stands in the body. */
static const char *field(const char *body, size_t n, const char *key, size_t *size) {
    const char *value = memmem(body, n, key, strlen(key));
    *size = 0;
    if (!value) return "";
    value += strlen(key);
    const char *end = memchr(value, '"', body + n - value);
    while (end && end[-1] == '\\') end = memchr(end + 1, '"', body + n - end - 1);
    if (end) *size = end - value;
    return value;
}

static void take_join(Client *c, const char *body, size_t n) {
    char head[AROUND];
    Buffer welcome = {0};
    size_t size;
    const char *nick = field(body, n, "\"nick\":\"", &size);
    if (size >= NAMES) size = NAMES - 1;
    memcpy(c->nick, nick, size);
    int length = sprintf(head, "{\"purpose\":\"welcome\",\"nick\":\"%s\",\"id\":1,\"seq\":%llu,"
                         "\"version\":1,\"time\":%s}", c->nick, seq, tick_time);
    append_frame(&welcome, head, length, "", 0, "", 0);
    send_slices(c, &(struct iovec){welcome.data, welcome.size}, 1);
    free(welcome.data);
    if (!c->joined) add_member(c);
}

static void remember_own(Client *c, size_t start, const char *ref, size_t ref_size) {
    char ok[AROUND];
    size_t at = answers.size;
    if (ref_size > NAMES) ref_size = NAMES;
    int n = sprintf(ok, "{\"purpose\":\"ok\",\"ref\":\"%.*s\",\"seq\":%llu,\"time\":%s}",
                    (int)ref_size, ref, seq, tick_time);
    append_frame(&answers, ok, n, "", 0, "", 0);
    if (c->owns == c->own_room) {
        c->own_room = 2 * c->own_room + 4;
        c->own = realloc(c->own, c->own_room * sizeof *c->own);
    }
    c->own[c->owns++] = (Own){start, said.size, at, answers.size - at};
}

static void take_message(Client *c, const char *body, size_t n) {
    char head[AROUND], tail[AROUND];
    size_t size, ref_size, start = said.size;
    const char *ref = field(body, n, "\"ref\":\"", &ref_size);
    const char *text = field(body, n, "\"text\":\"", &size);
    int head_size = sprintf(head, "{\"purpose\":\"message\",\"seq\":%llu,\"from\":\"%s\",\"id\":1,"
                            "\"to\":\"#lobby\",\"text\":\"", ++seq, c->nick);
    int tail_size = sprintf(tail, "\",\"time\":%s,\"size\":%zu}", tick_time, size);
    append_frame(&said, head, head_size, text, size, tail, tail_size);
    remember_own(c, start, ref, ref_size);
}

static void take_body(Client *c, const char *body, size_t n) {
    if (n < KIND_AT + 4) return;
    if (body[KIND_AT] == 'j') take_join(c, body, n);
    if (body[KIND_AT] == 'm' && c->joined) take_message(c, body, n);
}

/* Take whole frames; return the bytes taken, or -1 if these are no frames. */
static long take(Client *c, const char *data, size_t n) {
    size_t at = 0;
    while (at < n) {
        size_t length = 0, p = at + 1;
        while (p < n && data[p] >= '0' && data[p] <= '9') length = length * 10 + data[p++] - '0';
        if (data[at] != '$' || length > LONGEST - 16) return -1;
        if (p >= n || p + length + 1 > n) break;
        if (data[p] != '{' || data[p + length] != '$') return -1;
        take_body(c, data + p, length);
        at = p + length + 1;
    }
    return at;
}

/* Read what is there. Return 0 if the client has gone. */
static int receive(Client *c) {
    size_t before = c->rest.size;
    if (before) memcpy(input, c->rest.data, before);
    ssize_t n = recv(c->fd, input + before, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
    if (n <= 0) return 0;
    long used = take(c, input, before + n);
    if (used < 0) return 0;
    c->rest.size = 0;
    append(&c->rest, input + used, before + n - used);
    return 1;
}

/* ---- the loop ---- */

static void set_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    sprintf(tick_time, "%lld.%06ld", (long long)t.tv_sec, t.tv_nsec / 1000);
}

static void tick(void) {
    static struct epoll_event events[EVENTS];
    static Client *gone[EVENTS];
    int n = epoll_wait(poll_fd, events, EVENTS, -1), gone_count = 0;
    set_time();
    for (int i = 0; i < n; i++) {
        Client *c = events[i].data.ptr;
        if (!c) {
            accept_clients();
            continue;
        }
        if (events[i].events & EPOLLOUT && c->backlog.size) send_backlog(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !receive(c))
            gone[gone_count++] = c;
    }
    send_all();
    while (gone_count) remove_client(gone[--gone_count]);
}

static void listen_on(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) {
        perror("limit");
        exit(2);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: limit PORT\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poll_fd = epoll_create1(0);
    listen_on(atoi(argv[1]));
    for (;;) tick();
}
