"""Both ends of the end-to-end tests, run inside pods. Everything a test asserts comes from here as one line of JSON a case."""

import errno
import hashlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time

PATIENCE = 20.0
TCP_REPAIR = 19
last = {}


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def recv(sock, size):
    """A blocking reader of a joined socket that is woken by anything but data is told EAGAIN (docs/KERNEL.md): it asks again."""
    while True:
        try:
            return sock.recv(size)
        except BlockingIOError:
            if not sock.getblocking():
                raise


def read_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        byte = recv(sock, 1)
        if not byte:
            break
        line += byte
    return line.decode().strip()


def serve_one(sock, peer):
    try:
        sock.sendall(("FROM %s %d\n" % (peer[0].replace("::ffff:", ""), peer[1])).encode())
        command = read_line(sock)
        if command == "echo":
            while data := recv(sock, 65536):
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        elif command == "digest":
            digest, count = hashlib.sha256(), 0
            while data := recv(sock, 1 << 20):
                digest.update(data)
                count += len(data)
            sock.sendall(("%d %s\n" % (count, digest.hexdigest())).encode())
        elif command.startswith("source "):
            left, block = int(command.split()[1]), os.urandom(65536)
            digest = hashlib.sha256()
            while left:
                piece = block[: min(left, len(block))]
                sock.sendall(piece)
                digest.update(piece)
                left -= len(piece)
            last["source"] = digest.hexdigest()
        elif command == "who":
            sock.sendall((socket.gethostname() + "\n").encode())
        elif command == "reset":
            reset(sock)
            return
        elif command == "fin-then-read":
            sock.shutdown(socket.SHUT_WR)
            count = 0
            while data := recv(sock, 65536):
                count += len(data)
            last["fin-then-read"] = count
        elif command == "how-it-ends":
            try:
                while recv(sock, 65536):
                    pass
                last["how-it-ends"] = "fin"
            except ConnectionResetError:
                last["how-it-ends"] = "reset"
        elif command == "stall":
            time.sleep(3600)
        elif command.startswith("last "):
            deadline, key = time.time() + PATIENCE, command[5:]
            while key not in last and time.time() < deadline:
                time.sleep(0.01)
            sock.sendall((str(last.pop(key, "nothing")) + "\n").encode())
        sock.close()
    except OSError as e:
        print("serve: %s: %s" % (peer, e), file=sys.stderr, flush=True)


def serve(port, one=serve_one):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
    print("listening on %d" % port, flush=True)
    while True:
        sock, peer = listener.accept()
        threading.Thread(target=one, args=(sock, peer), daemon=True).start()


def udp_serve(port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", port))
    while True:
        data, peer = sock.recvfrom(2048)
        sock.sendto(("FROM %s " % peer[0].replace("::ffff:", "")).encode() + data, peer)


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = recv(sock, count - len(data))
        if not piece:
            raise ConnectionError("the end after %d of %d bytes" % (len(data), count))
        data += piece
    return data


def introduction(sock):
    """A PROXY protocol header, version 2: who calls, by address and by name. Anything else is an error."""
    start = read_exactly(sock, 16)
    if start[:13] != b"\r\n\r\n\0\r\nQUIT\n\x21" or start[13] not in (0x11, 0x21):
        raise ValueError("no PROXY header of a TCP connection: %s" % start.hex())
    rest = read_exactly(sock, struct.unpack("!H", start[14:])[0])
    family, size = (socket.AF_INET, 4) if start[13] == 0x11 else (socket.AF_INET6, 16)
    client, asked = rest[:size], rest[size : 2 * size]
    client_port, asked_port = struct.unpack("!HH", rest[2 * size : 2 * size + 4])
    told, at = {}, 2 * size + 4
    while at < len(rest):
        kind, length = struct.unpack("!BH", rest[at : at + 3])
        told["%02x" % kind] = rest[at + 3 : at + 3 + length].decode()
        at += 3 + length
    return {
        "client": socket.inet_ntop(family, client),
        "clientPort": client_port,
        "asked": socket.inet_ntop(family, asked),
        "askedPort": asked_port,
        "told": told,
    }


def serve_introduced(sock, peer):
    """What a program behind an application tunnel saw, to whoever calls it."""
    try:
        sock.settimeout(PATIENCE)
        seen = introduction(sock)
        seen["from"] = peer[0].replace("::ffff:", "")
        seen["heard"] = read_line(sock)
        sock.sendall((json.dumps(seen) + "\n").encode())
    except (OSError, ValueError) as e:
        print("serve: %s: %s" % (peer, e), file=sys.stderr, flush=True)
    finally:
        sock.close()


def addresses(host, port, family):
    """family: v4, v6, or mapped: an IPv4 address through an IPv6 socket, as Java and Go do."""
    wanted = socket.AF_INET6 if family == "v6" else socket.AF_INET
    found = socket.getaddrinfo(host, port, wanted, socket.SOCK_STREAM)[0][4]
    if family == "mapped":
        return socket.AF_INET6, ("::ffff:" + found[0], port)
    return wanted, found[:2]


def dial(case, timeout=PATIENCE):
    family, address = addresses(case["host"], case["port"], case["family"])
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock, address


def hello(case):
    sock, address = dial(case)
    banner = read_line(sock)
    return sock, address, banner.split()[1] if banner.startswith("FROM ") else "no banner: " + banner


def ask_last(case, key):
    sock, _, _ = hello(case)
    sock.sendall(("last %s\n" % key).encode())
    answer = read_line(sock)
    sock.close()
    return answer


def case_talk(case):
    """Server speaks first, then an echo, then each side half-closes."""
    sock, address, seen = hello(case)
    peer = sock.getpeername()
    message = os.urandom(20000)
    sock.sendall(b"echo\n" + message)
    sock.shutdown(socket.SHUT_WR)
    back = b""
    while data := recv(sock, 65536):
        back += data
    sock.close()
    return {"seen": seen, "echoed": back == message, "peername": peer[0].replace("::ffff:", ""), "asked": address[0].replace("::ffff:", "")}


def case_who(case):
    """Which pods answer so many connections."""
    names = set()
    for _ in range(int(case["count"])):
        sock, _, _ = hello(case)
        sock.sendall(b"who\n")
        names.add(read_line(sock))
        sock.close()
    return {"names": sorted(names)}


def case_idle(case):
    sock, _, seen = hello(case)
    sock.sendall(b"echo\n")
    time.sleep(case["seconds"])
    sock.sendall(b"still here")
    sock.shutdown(socket.SHUT_WR)
    back = b""
    while data := recv(sock, 65536):
        back += data
    return {"seen": seen, "back": back.decode()}


def case_server_resets(case):
    sock, _, _ = hello(case)
    sock.sendall(b"reset\n")
    try:
        return {"ends": "fin" if not recv(sock, 1) else "data"}
    except ConnectionResetError:
        return {"ends": "reset"}


def case_client_resets(case):
    sock, _, _ = hello(case)
    sock.sendall(b"how-it-ends\n")
    time.sleep(0.1)
    reset(sock)
    return {"ends": ask_last(case, "how-it-ends")}


def case_client_closes(case):
    sock, _, _ = hello(case)
    sock.sendall(b"how-it-ends\n")
    sock.close()
    return {"ends": ask_last(case, "how-it-ends")}


def case_server_half_closes(case):
    sock, _, _ = hello(case)
    sock.sendall(b"fin-then-read\n")
    ended = recv(sock, 1) == b""
    sock.sendall(b"x" * 300000)
    sock.close()
    return {"ended": ended, "read": ask_last(case, "fin-then-read")}


def case_sendfile(case):
    path = "/tmp/weir-peer-%d" % os.getpid()
    block, digest = os.urandom(1 << 20), hashlib.sha256()
    with open(path, "wb") as f:
        for i in range(case["mebibytes"]):
            piece = struct.pack("<Q", i) + block[8:]
            f.write(piece)
            digest.update(piece)
    sock, _, _ = hello(case)
    sock.sendall(b"digest\n")
    sock.settimeout(None)
    size, at = os.path.getsize(path), 0
    with open(path, "rb") as f:
        while at < size:
            at += os.sendfile(sock.fileno(), f.fileno(), at, size - at)
    os.unlink(path)
    sock.shutdown(socket.SHUT_WR)
    return {"exact": read_line(sock) == "%d %s" % (size, digest.hexdigest())}


def case_download(case):
    size, digest, count = case["mebibytes"] << 20, hashlib.sha256(), 0
    sock, _, _ = hello(case)
    sock.sendall(("source %d\n" % size).encode())
    while data := recv(sock, 1 << 20):
        digest.update(data)
        count += len(data)
    return {"exact": count == size and ask_last(case, "source") == digest.hexdigest()}


def case_slow_reader(case):
    """The server stops reading: the client must be stopped after a bounded number of bytes."""
    sock, _, _ = hello(case)
    sock.sendall(b"stall\n")
    sock.setblocking(False)
    sent, quiet_since = 0, time.time()
    while time.time() - quiet_since < 2.0 and sent < case["limit"]:
        try:
            sent += sock.send(b"y" * 65536)
            quiet_since = time.time()
        except BlockingIOError:
            select.select([], [sock], [], 0.2)
    reset(sock)
    return {"sent": sent}


def case_connect(case):
    """How a connect that should not succeed ends, and how soon."""
    start = time.time()
    try:
        sock, _ = dial(case, case.get("timeout", PATIENCE))
    except TimeoutError:
        return {"ends": "timeout", "seconds": time.time() - start}
    except OSError as e:
        return {"ends": errno.errorcode.get(e.errno, str(e)), "seconds": time.time() - start}
    try:
        data = recv(sock, 1)
        ends = "data" if data else "fin"
    except ConnectionResetError:
        ends = "ECONNRESET"
    except TimeoutError:
        ends = "hang"
    return {"ends": ends, "seconds": time.time() - start}


def case_many(case):
    """So many connections at once that two of them would meet if anything on the way drew its ports where clients do."""
    held = []
    for i in range(int(case["count"])):
        sock, _, seen = hello(case)
        held.append(sock)
    for sock in held:
        sock.sendall(b"echo\n")
        sock.sendall(b"x")
    back = sum(recv(sock, 1) == b"x" for sock in held)
    for sock in held:
        sock.close()
    return {"back": back}


def case_again(case):
    """Calls from one port, again and again. The server ends each connection first, or the client forgets it: that says nothing to anybody."""
    family, address = addresses(case["host"], case["port"], case["family"])
    port, answers, start = 0, 0, time.time()
    for _ in range(int(case["count"])):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        deadline = time.time() + PATIENCE
        while (code := sock.connect_ex(address)) == errno.EADDRNOTAVAIL and time.time() < deadline:
            time.sleep(0.001)  # the last FIN is not acknowledged yet
        if code:
            raise OSError(code, os.strerror(code))
        port = sock.getsockname()[1]
        read_line(sock)
        sock.sendall(b"echo\n" if case["forgets"] else b"who\n")
        if case["forgets"]:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        else:
            while recv(sock, 64):
                pass
        sock.close()
        answers += 1
    return {"answers": answers, "seconds": time.time() - start}


def case_low_ports(case):
    """A client that calls from ports which deliveries may be made from: neither of two that come upon each other hurts the other."""

    def call(port, command=b"echo\n", patience=PATIENCE):
        family, address = addresses(case["host"], case["port"], case["family"])
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(patience)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        sock.connect(address)
        delivered_from = int(read_line(sock).split()[2])
        sock.sendall(command)
        return sock, delivered_from

    def answers(sock):
        sock.sendall(b"x")
        return recv(sock, 1) == b"x"

    first, at = call(0)
    while at > 32000:
        # The next ones would begin anew at the lowest port.
        first.close()
        first, at = call(0)
    # Each time the third one's turn would be the port that the second one's client calls from.
    second, second_at = call(at + 4)
    third, third_at = call(0)
    result = {"pastOpen": [second_at - at, third_at - at], "unhurt": answers(second) and answers(third)}
    try:
        call(second_at, patience=1.5)
        result["meeting"] = "connected"
    except TimeoutError:
        result["meeting"] = "timeout"
    result["still"] = answers(second)
    second.close()
    fourth, _ = call(second_at)
    result["afterwards"] = answers(fourth)
    fifth, at = call(0)
    ended, ended_at = call(at + 4, b"who\n")
    while recv(ended, 64):
        pass
    ended.close()
    sixth, sixth_at = call(0)
    result["pastResting"] = [ended_at - at, sixth_at - at]
    for sock in (first, third, fourth, fifth, sixth):
        sock.close()
    return result


def case_nonblocking(case):
    family, address = addresses(case["host"], case["port"], case["family"])
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code not in (0, errno.EINPROGRESS):
        return {"ends": errno.errorcode.get(code, str(code))}
    if not select.select([], [sock], [], PATIENCE)[1]:
        return {"ends": "never writable"}
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return {"ends": errno.errorcode[code]}
    sock.setblocking(True)
    return {"ends": "connected", "seen": read_line(sock).split()[1]}


def case_bound(case):
    """A client that binds its own address and port before it connects."""
    family, address = addresses(case["host"], case["port"], case["family"])
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.bind((case["bind"], 0))
    sock.connect(address)
    return {"seen": read_line(sock).split()[1]}


def case_introduced(case):
    """Calls a program behind an application tunnel: what it was told, beside what the caller knows of itself."""
    sock, _ = dial(case)
    sock.sendall(b"hello\n")
    seen = json.loads(read_line(sock))
    return {"seen": seen, "ownPort": sock.getsockname()[1]}


def case_udp(case):
    family, address = addresses(case["host"], case["port"], case["family"])
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(3)
    sock.sendto(b"hello", address)
    data, _ = sock.recvfrom(2048)
    return {"answer": data.decode()}


def case_resolve(case):
    family = socket.AF_INET6 if case["family"] == "v6" else socket.AF_INET
    try:
        return {"addresses": sorted({a[4][0] for a in socket.getaddrinfo(case["host"], 0, family, socket.SOCK_STREAM)})}
    except socket.gaierror as e:
        return {"error": e.args[0], "addresses": []}


def dns_question(number):
    name = b"".join(bytes([len(label)]) + label.encode() for label in "in-b.e2e.svc.cluster.local".split(".")) + b"\0"
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)


def case_dns_storm(case):
    """Asks for a name over UDP as fast as answers come, each question from a socket of its own: how many are never answered."""
    with open("/etc/resolv.conf") as f:
        server = next(line.split()[1] for line in f if line.startswith("nameserver"))
    asked, lost, slowest, until = [0], [0], [0.0], time.time() + case["seconds"]

    def ask():
        number = 0
        while time.time() < until:
            number = (number + 1) & 0xFFFF
            with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(3)
                start = time.time()
                sock.sendto(dns_question(number), (server, 53))
                asked[0] += 1
                try:
                    answer = sock.recv(2048)
                    if answer[:2] != struct.pack(">H", number) or answer[3] & 15:
                        lost[0] += 1
                except OSError:
                    lost[0] += 1
                slowest[0] = max(slowest[0], time.time() - start)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return {"asked": asked[0], "lost": lost[0], "slowest": slowest[0]}


def run(case):
    try:
        result = globals()["case_" + case["do"].replace("-", "_")](case)
    except Exception as e:
        result = {"error": "%s: %s" % (type(e).__name__, e)}
    return {"case": case["name"], **result}


def attend():
    """One process a pod for all that is asked of it: each line of stdin is a list of cases, run beside the others."""
    speak = threading.Lock()

    def answer(request):
        answers = [run(case) for case in request["cases"]]
        with speak:
            print(json.dumps({"id": request["id"], "answers": answers}), flush=True)

    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


def hold(host, port, family):
    """One connection that answers on stdin's command: each line sends its text and prints what comes back."""
    sock, _, seen = hello({"host": host, "port": int(port), "family": family})
    sock.sendall(b"echo\n")
    print("held " + seen, flush=True)
    for line in sys.stdin:
        text = line.encode()
        try:
            sock.sendall(text)
            back = b""
            while len(back) < len(text):
                data = recv(sock, 65536)
                if not data:
                    print("fin", flush=True)
                    return
                back += data
            print("back " + back.decode().strip(), flush=True)
        except OSError as e:
            print(errno.errorcode.get(e.errno, str(e)), flush=True)
            return


def sniff(secrets):
    """Every frame of this network namespace until stdin ends: which of the secrets were readable, and what of TLS was seen at port 15008."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
    print("listening", flush=True)
    seen, hellos, versions, records = set(), 0, set(), 0
    while True:
        for ready in select.select([sock, sys.stdin], [], [])[0]:
            if ready is sys.stdin:
                print(json.dumps({"readable": sorted(seen), "hellos": hellos, "versions": sorted(versions), "records": records}), flush=True)
                return
            frame = sock.recv(65536)
            seen.update(s for s in secrets if s.encode() in frame)
            at = 14 + ((frame[14] & 15) * 4 if frame[12:14] == b"\x08\x00" else 40)
            if len(frame) < at + 20 or 15008 not in struct.unpack("!HH", frame[at : at + 4]):
                continue
            data = frame[at + (frame[at + 12] >> 4) * 4 :]
            if data[:1] == b"\x16" and data[5:6] == b"\x01":
                hellos += 1
            elif data[:1] == b"\x16" and data[5:6] == b"\x02":
                # RFC 8446 section 4.2.1: the server's choice stands in supported_versions.
                found = data.find(b"\x00\x2b\x00\x02")
                versions.add(data[found + 4 : found + 6].hex() if found > 0 else "none")
            elif data[:3] == b"\x17\x03\x03":
                records += 1


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        for port in sys.argv[2:-1]:
            threading.Thread(target=serve, args=(int(port),), daemon=True).start()
        threading.Thread(target=udp_serve, args=(int(sys.argv[2]),), daemon=True).start()
        serve(int(sys.argv[-1]))
    elif sys.argv[1] == "introduced":
        serve(int(sys.argv[2]), serve_introduced)
    elif sys.argv[1] == "attend":
        attend()
    elif sys.argv[1] == "hold":
        hold(sys.argv[2], sys.argv[3], sys.argv[4])
    elif sys.argv[1] == "sniff":
        sniff(sys.argv[2:])
