// SPDX-License-Identifier: Apache-2.0
// The load of `weir bench`: small enough that what is measured is the path, not the program.
//
//   weir-load serve PORT                          echo of 'p' messages, checker of 'v' streams, source where asked by 'd', echo and end
//                                                 where asked by 'q', sink of everything else
//   weir-load rtt IP PORT SECONDS [WARM]          one connection, 64 bytes to and fro
//   weir-load stream IP PORT SECONDS [PARALLEL]   connections, as fast as they go, counted by the reader
//   weir-load connect IP PORT PARALLEL SECONDS    new connections, one byte each way, closed by RST (no TIME_WAIT at the client)
//   weir-load call IP PORT PARALLEL SECONDS       new connections, one byte each way, ended by the server (no TIME_WAIT at the client)
//   weir-load verify IP PORT BYTES READER         a pseudo-random stream; READER is fast, slow or ragged; the reader checks each byte
//   weir-load hold IP PORT COUNT                  connections, one byte each way, then idle until stdin ends
//   weir-load slow IP PORT COUNT SECONDS          asks for COUNT streams and reads 4 KiB of each every 50 ms
//   weir-load cold IP PORT SECONDS TUNNEL-PORT    a new connection again and again, and before each one every connection of this network
//                                                 namespace to TUNNEL-PORT is destroyed, so that each needs a tunnel of its own
//
// Every client prints one line of JSON. None waits for anything longer than PATIENCE: it ends, or counts a failure.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 65536, MESSAGE = 64, MAX_SAMPLES = 4000000, PATIENCE = 20 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "weir-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof value))
		die("setsockopt");
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *found;
	struct timeval patience = {.tv_sec = PATIENCE};
	int bad = getaddrinfo(host, port, &hint, &found), fd;
	if (bad) {
		fprintf(stderr, "weir-load: %s: %s\n", host, gai_strerror(bad));
		exit(1);
	}
	fd = socket(found->ai_family, SOCK_STREAM, 0);
	if (fd < 0)
		die("socket");
	// For connect() the time to send counts (EINPROGRESS), see socket(7).
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience))
		die("setsockopt");
	if (connect(fd, found->ai_addr, found->ai_addrlen)) {
		int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
		freeaddrinfo(found);
		close(fd);
		errno = error;
		return -1;
	}
	freeaddrinfo(found);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static int dial_or_die(const char *host, const char *port)
{
	int fd = dial(host, port);
	if (fd < 0)
		die("connect");
	return fd;
}

static void send_all(int fd, const void *bytes, size_t left)
{
	const char *at = bytes;
	while (left) {
		ssize_t n = write(fd, at, left);
		if (n <= 0) {
			if (errno == EAGAIN)
				errno = ETIMEDOUT; // SO_SNDTIMEO
			die("write");
		}
		at += n;
		left -= n;
	}
}

// Linux tells a blocking reader of a joined socket EAGAIN when it is woken by anything but data (docs/KERNEL.md), and every other one when
// SO_RCVTIMEO is over: so it is asked again until as much time has passed since it was first told.
static ssize_t read_some(int fd, void *bytes, size_t most)
{
	double end = 0;
	for (;;) {
		ssize_t n = read(fd, bytes, most);
		if (n >= 0 || errno != EAGAIN)
			return n;
		if (!end)
			end = now() + PATIENCE;
		else if (now() >= end) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
}

static size_t read_full(int fd, void *bytes, size_t want)
{
	size_t got = 0;
	while (got < want) {
		ssize_t n = read_some(fd, (char *)bytes + got, want - got);
		if (n < 0)
			die("read");
		if (!n)
			break;
		got += n;
	}
	return got;
}

// xorshift64*: the stream of `verify`, the same on both ends, no two blocks alike.
static uint64_t next_word(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 2685821657736338717ull;
}

static void fill(uint64_t *block, uint64_t *state)
{
	for (size_t i = 0; i < BLOCK / 8; i++)
		block[i] = next_word(state);
}

// Reads a verified stream to its end and answers with how many bytes were right; stops at the first that is not.
static void check_stream(int fd, char reader)
{
	static uint64_t want[BLOCK / 8];
	static char got[BLOCK];
	uint64_t state = 88172645463325252ull, right = 0;
	unsigned ragged = 1;
	for (;;) {
		size_t have = 0;
		fill(want, &state);
		while (have < BLOCK) {
			size_t ask = BLOCK - have;
			if (reader == 'r') {
				ragged = ragged * 1103515245u + 12345u;
				ask = 1 + (ragged >> 8) % (ask < 9000 ? ask : 9000);
				if ((ragged >> 20) % 4096 == 0)
					usleep(2000);
			}
			ssize_t n = read_some(fd, got + have, ask);
			if (n < 0)
				die("read");
			if (!n) {
				if (!memcmp(got, want, have))
					right += have;
				goto end;
			}
			have += n;
		}
		if (memcmp(got, want, BLOCK))
			goto end;
		right += BLOCK;
		if (reader == 's' && (right / BLOCK) % 64 == 0)
			usleep(5000);
	}
end:
	send_all(fd, &right, sizeof right);
	close(fd);
}

static void serve(const char *port)
{
	static char buf[BLOCK];
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
	struct epoll_event ev = {.events = EPOLLIN}, evs[64];
	int ep = epoll_create1(0), listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	static uint64_t sunk[65536];
	set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	set(listener, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096))
		die("listen");
	signal(SIGCHLD, SIG_IGN);
	ev.data.fd = listener;
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, evs, 64, -1);
		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;
			if (fd == listener) {
				int a = accept4(listener, 0, 0, SOCK_NONBLOCK);
				if (a < 0 || a >= 65536)
					continue;
				set(a, IPPROTO_TCP, TCP_NODELAY, 1);
				sunk[a] = 0;
				ev.data.fd = a;
				epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev);
				continue;
			}
			ssize_t got = read(fd, buf, sizeof buf);
			if (got < 0 && errno == EAGAIN)
				continue;
			if (got <= 0) {
				if (got == 0 && sunk[fd]) // the writer ended a stream: tell it what arrived
					(void)!write(fd, &sunk[fd], 8);
				close(fd);
			} else if (!sunk[fd] && buf[0] == 'p') {
				if (write(fd, buf, got) != got)
					close(fd);
			} else if (!sunk[fd] && buf[0] == 'q' && got == 1) {
				(void)!write(fd, buf, 1);
				close(fd);
			} else if (!sunk[fd] && buf[0] == 'v' && got == 2) {
				if (!fork()) {
					close(listener);
					fcntl(fd, F_SETFL, 0);
					send_all(fd, "v", 1);
					check_stream(fd, buf[1]);
					_exit(0);
				}
				close(fd);
			} else if (!sunk[fd] && buf[0] == 'd' && got == 1) {
				if (!fork()) {
					close(listener);
					fcntl(fd, F_SETFL, 0);
					signal(SIGPIPE, SIG_IGN);
					while (write(fd, buf, sizeof buf) > 0)
						;
					_exit(0);
				}
				close(fd);
			} else {
				sunk[fd] += got;
			}
		}
	}
}

static void *shared(size_t size)
{
	void *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static void await_children(void)
{
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		exit(1); // the child has said why
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void rtt(const char *host, const char *port, double seconds, double warm_seconds)
{
	double *took = malloc(MAX_SAMPLES * sizeof *took), end;
	char message[MESSAGE];
	int fd = dial_or_die(host, port);
	size_t n = 0;
	memset(message, 'p', sizeof message);
	end = now() + (warm_seconds > 0 ? warm_seconds : seconds / 2);
	for (int warm = 0; (warm_seconds > 0 || warm < 2000) && now() < end; warm++) {
		send_all(fd, message, MESSAGE);
		if (read_full(fd, message, MESSAGE) < MESSAGE)
			die("echo");
	}
	end = now() + seconds;
	while (n < MAX_SAMPLES) {
		double t = now();
		if (t >= end)
			break;
		send_all(fd, message, MESSAGE);
		if (read_full(fd, message, MESSAGE) < MESSAGE)
			die("echo");
		took[n++] = now() - t;
	}
	qsort(took, n, sizeof *took, by_value);
	printf("{\"p50\":%.2f,\"p99\":%.2f,\"samples\":%zu}\n", took[n / 2] * 1e6, took[n * 99 / 100] * 1e6, n);
}

static void stream(const char *host, const char *port, double seconds, int parallel)
{
	static char block[BLOCK];
	uint64_t *arrived = shared(parallel * sizeof *arrived), total = 0;
	double start = now();
	memset(block, 'x', sizeof block);
	for (int p = 0; p < parallel; p++) {
		if (fork())
			continue;
		int fd = dial_or_die(host, port);
		while (now() - start < seconds)
			send_all(fd, block, sizeof block);
		shutdown(fd, SHUT_WR);
		if (read_full(fd, &arrived[p], 8) < 8)
			die("the reader's count");
		_exit(0);
	}
	await_children();
	for (int p = 0; p < parallel; p++)
		total += arrived[p];
	printf("{\"bytes\":%llu,\"gigabytesPerSecond\":%.3f}\n", (unsigned long long)total, total / 1e9 / (now() - start));
}

struct tally {
	uint64_t done, failed;
	int error; // errno of the last failure, 0: the peer ended it
};

static void connections(const char *host, const char *port, int parallel, double seconds, char ask)
{
	struct tally *tally = shared(sizeof *tally * parallel);
	uint32_t *each = shared(((size_t)seconds + 1) * sizeof *each); // done in each second
	double start = now();
	uint64_t done = 0, failed = 0;
	int error = 0;
	for (int p = 0; p < parallel; p++) {
		if (fork())
			continue;
		while (now() - start < seconds) {
			struct linger reset = {1, 0};
			char byte = ask;
			int fd = dial(host, port);
			if (fd < 0) {
				tally[p].failed++;
				tally[p].error = errno;
				continue;
			}
			errno = 0;
			if (write(fd, &byte, 1) == 1 && read_some(fd, &byte, 1) == 1 && (ask == 'p' || read_some(fd, &byte, 1) == 0)) {
				tally[p].done++;
				double at = now() - start;
				if (at < seconds)
					__atomic_add_fetch(&each[(size_t)at], 1, __ATOMIC_RELAXED);
			} else {
				tally[p].failed++;
				tally[p].error = errno;
			}
			if (ask == 'p')
				setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
			close(fd);
		}
		_exit(0);
	}
	await_children();
	for (int p = 0; p < parallel; p++)
		done += tally[p].done, failed += tally[p].failed, error = tally[p].failed ? tally[p].error : error;
	printf("{\"perSecond\":%.0f,\"done\":%llu,\"failed\":%llu,\"error\":\"%s\",\"each\":[", done / (now() - start),
	       (unsigned long long)done, (unsigned long long)failed, failed ? strerror(error) : "");
	for (size_t second = 0; second + 1 <= (size_t)seconds; second++)
		printf("%s%u", second ? "," : "", each[second]);
	printf("]}\n");
}

static void hold(const char *host, const char *port, int count)
{
	char byte = 'p';
	int held = 0;
	while (held < count) {
		ssize_t answered = -1;
		int fd = dial(host, port);
		if (fd < 0 || write(fd, &byte, 1) != 1 || (answered = read_some(fd, &byte, 1)) != 1) {
			fprintf(stderr, "weir-load: connection %d of %d: %s\n", held + 1, count, answered ? strerror(errno) : "ended by the peer");
			exit(1);
		}
		held++;
	}
	printf("{\"held\":%d}\n", held);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void slow(const char *host, const char *port, int count, double seconds)
{
	static char buf[4096];
	int *fds = malloc(count * sizeof *fds);
	struct linger reset = {1, 0};
	uint64_t bytes = 0;
	int ended = 0;
	double end = now() + seconds;
	for (int i = 0; i < count; i++) {
		fds[i] = dial_or_die(host, port);
		send_all(fds[i], "d", 1);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
	}
	while (now() < end) {
		usleep(50000);
		for (int i = 0; i < count; i++) {
			ssize_t n = fds[i] < 0 ? 0 : read(fds[i], buf, sizeof buf);
			if (fds[i] >= 0 && (n == 0 || (n < 0 && errno != EAGAIN))) {
				close(fds[i]);
				fds[i] = -1;
				ended++;
			}
			bytes += n > 0 ? n : 0;
		}
	}
	for (int i = 0; i < count; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	printf("{\"bytes\":%llu,\"ended\":%d}\n", (unsigned long long)bytes, ended);
}

// sock_diag(7): asks for the established TCP sockets of one family and has those to the port destroyed, which ends them with a RST.
static int destroy_family(int diag, int family, int port)
{
	static char buf[1 << 18];
	static struct inet_diag_msg found[1024];
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 ask;
	} request = {
	    .head = {.nlmsg_len = sizeof request, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .ask = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1 << TCP_ESTABLISHED},
	};
	int n = 0, destroyed = 0, more = 1;
	if (send(diag, &request, sizeof request, 0) < 0)
		die("sock_diag");
	while (more) {
		ssize_t got = recv(diag, buf, sizeof buf, 0);
		if (got <= 0)
			die("sock_diag");
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
			struct inet_diag_msg *m = NLMSG_DATA(h);
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
				more = 0;
			else if (m->id.idiag_dport == htons(port) && n < 1024)
				found[n++] = *m;
		}
	}
	for (int i = 0; i < n; i++) {
		struct {
			struct nlmsghdr head;
			struct nlmsgerr answer;
			char rest[512];
		} reply;
		request.head.nlmsg_type = SOCK_DESTROY;
		request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
		request.ask.idiag_states = -1;
		request.ask.id = found[i].id;
		if (send(diag, &request, sizeof request, 0) < 0 || recv(diag, &reply, sizeof reply, 0) < 0)
			die("SOCK_DESTROY");
		if (reply.answer.error == 0)
			destroyed++;
		else if (reply.answer.error != -ENOENT) { // it ended by itself
			errno = -reply.answer.error;
			die("SOCK_DESTROY");
		}
	}
	return destroyed;
}

static void cold(const char *host, const char *port, double seconds, int tunnel_port)
{
	int diag = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG);
	uint64_t done = 0, failed = 0, destroyed = 0;
	double start = now();
	if (diag < 0)
		die("sock_diag");
	while (now() - start < seconds) {
		struct linger reset = {1, 0};
		char byte = 'p';
		destroyed += destroy_family(diag, AF_INET, tunnel_port) + destroy_family(diag, AF_INET6, tunnel_port);
		usleep(2000); // both ends see it before the next connection asks for a tunnel
		int fd = dial(host, port);
		if (fd >= 0 && write(fd, &byte, 1) == 1 && read_some(fd, &byte, 1) == 1)
			done++;
		else
			failed++;
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close(fd);
	}
	printf("{\"done\":%llu,\"failed\":%llu,\"destroyed\":%llu}\n", (unsigned long long)done, (unsigned long long)failed,
	       (unsigned long long)destroyed);
}

static void verify(const char *host, const char *port, uint64_t bytes, const char *reader)
{
	static uint64_t block[BLOCK / 8];
	uint64_t state = 88172645463325252ull, left = bytes, right = 0;
	unsigned ragged = 7;
	double start = now();
	char ask[2] = {'v', reader[0]};
	int fd = dial_or_die(host, port);
	send_all(fd, ask, 2);
	if (read_full(fd, ask, 1) < 1)
		die("the checker");
	while (left) {
		size_t size = left < BLOCK ? left : BLOCK, at = 0;
		fill(block, &state);
		while (at < size) { // pieces of every size, so that no boundary is special
			ragged = ragged * 1103515245u + 12345u;
			size_t piece = 1 + (ragged >> 4) % BLOCK;
			if (piece > size - at)
				piece = size - at;
			send_all(fd, (char *)block + at, piece);
			at += piece;
		}
		left -= size;
	}
	shutdown(fd, SHUT_WR);
	if (read_full(fd, &right, 8) < 8)
		die("the checker's count");
	printf("{\"sent\":%llu,\"right\":%llu,\"seconds\":%.2f}\n", (unsigned long long)bytes, (unsigned long long)right, now() - start);
	exit(right == bytes ? 0 : 2);
}

int main(int argc, char **argv)
{
	// As the launcher does for the agent; who may not raise the limit gets all of what it has.
	struct rlimit files = { 1 << 20, 1 << 20 };
	if (setrlimit(RLIMIT_NOFILE, &files) && !getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	else if ((argc == 5 || argc == 6) && !strcmp(argv[1], "rtt"))
		rtt(argv[2], argv[3], atof(argv[4]), argc == 6 ? atof(argv[5]) : 0);
	else if ((argc == 5 || argc == 6) && !strcmp(argv[1], "stream"))
		stream(argv[2], argv[3], atof(argv[4]), argc == 6 ? atoi(argv[5]) : 1);
	else if (argc == 6 && !strcmp(argv[1], "connect"))
		connections(argv[2], argv[3], atoi(argv[4]), atof(argv[5]), 'p');
	else if (argc == 6 && !strcmp(argv[1], "call"))
		connections(argv[2], argv[3], atoi(argv[4]), atof(argv[5]), 'q');
	else if (argc == 6 && !strcmp(argv[1], "verify"))
		verify(argv[2], argv[3], strtoull(argv[4], 0, 10), argv[5]);
	else if (argc == 5 && !strcmp(argv[1], "hold"))
		hold(argv[2], argv[3], atoi(argv[4]));
	else if (argc == 6 && !strcmp(argv[1], "slow"))
		slow(argv[2], argv[3], atoi(argv[4]), atof(argv[5]));
	else if (argc == 6 && !strcmp(argv[1], "cold"))
		cold(argv[2], argv[3], atof(argv[4]), atoi(argv[5]));
	else {
		fprintf(stderr, "usage: weir-load serve PORT | rtt IP PORT SECONDS [WARM] | stream IP PORT SECONDS [PARALLEL] | connect|call IP PORT PARALLEL SECONDS"
				" | verify IP PORT BYTES fast|slow|ragged | hold IP PORT COUNT | slow IP PORT COUNT SECONDS"
				" | cold IP PORT SECONDS TUNNEL-PORT\n");
		return 2;
	}
	return 0;
}
