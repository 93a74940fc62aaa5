/* A load for chat servers: N clients of which S send. One thread, epoll.
 *
 * Closed loop: a sender sends its next message when an earlier one has been answered, so many in
 * flight. Open loop (--rate): each message is due at a fixed time, and its delay counts from then
 * to when its bytes were read, whenever it could be sent.
 *
 * Checked on every client: the count at the end, and (Parley) that seq only grows. On every 16th,
 * the first and the last: each sender's messages all come, once and in order.
 *
 * Prints one JSON object. Exits with 1 if anything was lost, doubled or out of order, with 2 if it
 * could not begin.
 */
#include "load.h"

#define PATIENCE (20 * SECOND) /* how long nothing may happen while something is awaited */
#define QUIET (SECOND / 2)     /* after the last join's news */
#define KEEP (25 * SECOND)     /* how often an idle client says something */

typedef struct {
    uint64_t at, deliveries, acks, bytes, waited;
} Reading;

static Reading reading(void) {
    return (Reading){now(), counts.deliveries, counts.acks, counts.bytes, time_waited()};
}

/* Deal with what comes until all of these clients have joined. */
static void wait_joined(int wanted) {
    uint64_t since = now(), bytes = counts.bytes;
    while (counts.ready < wanted && !counts.errors) {
        turn(SECOND / 10);
        if (counts.bytes != bytes) since = now(), bytes = counts.bytes;
        if (now() - since > PATIENCE) fail("not joined", &all[counts.ready], "", 0);
    }
}

static void wait_quiet(void) {
    uint64_t since = now(), bytes = counts.bytes;
    while (now() - since < QUIET && !counts.errors) {
        turn(SECOND / 20);
        if (counts.bytes != bytes) since = now(), bytes = counts.bytes;
    }
}

static void join_all(void) {
    for (int i = 0; i < total && !counts.errors; i++) {
        connect_client(&all[i]);
        wait_joined(i + 1 - options.at_once);
    }
    wait_joined(total);
}

static void turn_until(uint64_t end) {
    for (uint64_t at; (at = now()) < end && !counts.errors;) turn(end - at);
}

static int all_came(void) {
    if (counts.acks < counts.sent) return 0;
    for (int i = 0; i < options.clients; i++)
        if (all[i].got < expected(&all[i])) return 0;
    return 1;
}

/* Everything sent must arrive at everybody it is for. */
static void wait_for_the_rest(void) {
    uint64_t since = now(), bytes = counts.bytes;
    while (!all_came() && !counts.errors && now() - since < PATIENCE / 4) {
        turn(SECOND / 20);
        if (counts.bytes != bytes) since = now(), bytes = counts.bytes;
    }
    wait_quiet(); /* what comes twice may come later */
    for (int i = 0; i < options.clients; i++)
        if (all[i].got != expected(&all[i])) fail("wrong count at the end", &all[i], "", 0);
    if (counts.acks != counts.sent) fail("wrong number of answers", &all[0], "", 0);
}

static void print_latency(void) {
    printf(",\"latency\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"count\":%llu,"
           "\"late_p99\":%.1f}",
           percentile(&delays, 0.5) / 1e3, percentile(&delays, 0.99) / 1e3,
           percentile(&delays, 0.999) / 1e3, delays.max / 1e3, (unsigned long long)delays.count,
           percentile(&lateness, 0.99) / 1e3);
}

static void print_found(Reading from, Reading to) {
    double took = (to.at - from.at) / 1e9;
    printf("{\"deliveries_per_s\":%.0f,\"messages_per_s\":%.0f,\"cpu\":%.3f,\"sent\":%llu,"
           "\"errors\":%llu,\"bytes_in_per_s\":%.0f",
           (to.deliveries - from.deliveries) / took, (to.acks - from.acks) / took,
           1 - (to.waited - from.waited) / 1e9 / took, (unsigned long long)counts.sent,
           (unsigned long long)counts.errors, (to.bytes - from.bytes) / took);
    if (options.rate > 0) print_latency();
    printf("}\n");
}

static void measure(void) {
    wait_quiet();
    uint64_t start = now(), warm = start + options.warmup * SECOND;
    start_talking(start);
    turn_until(warm);
    Reading from = reading();
    turn_until(warm + options.seconds * SECOND);
    Reading to = reading();
    stop_talking();
    wait_for_the_rest();
    print_found(from, to);
}

/* Each client in turn says something, so that all have by the time KEEP has passed. */
static void keep_alive(uint64_t began) {
    static uint64_t kept;
    char out[JOIN_ROOM];
    if (!options.protocol->keep) return;
    while (kept < (now() - began) * total / KEEP) {
        Client *c = &all[kept++ % total];
        put(c, out, options.protocol->keep(c, out));
    }
}

static void idle(double took) {
    printf("{\"joined\":%d,\"joins_per_s\":%.0f}\n", counts.ready, counts.ready / took);
    fflush(stdout);
    watch_stdin();
    for (uint64_t began = now(); !stdin_closed() && !counts.errors;) {
        turn(SECOND / 10);
        keep_alive(began);
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    open_sockets();
    make_clients();
    uint64_t began = now();
    join_all();
    if (counts.errors) return 1;
    if (options.idle)
        idle((now() - began) / 1e9);
    else
        measure();
    return counts.errors ? 1 : 0;
}
