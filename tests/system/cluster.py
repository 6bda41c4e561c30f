# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Several nodes over one Redis, and a balancer in front of them that a test may confuse at will.

The balancer keeps the client's side of a flow (each has a socket of its own towards the nodes, so that all nodes see
the same address) and forgets everything else when it is told to: which node a flow goes to is the test's choice.
"""

import contextlib
import pathlib
import random
import secrets
import selectors
import shutil
import socket
import subprocess
import threading

import shoal

LEASE = 1.5  # seconds, in tests


class Redis:
    """redis-server on a unix socket, in memory."""

    def __init__(self, folder, *options):
        self.folder, self.options = pathlib.Path(folder), options
        self.socket = self.folder / "redis.sock"
        self.url = f"redis+unix://{self.socket}"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.kill()

    def start(self):
        assert shutil.which("redis-server"), "redis-server is not installed"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no",
             "--dir", str(self.folder), "--logfile", str(self.folder / "redis.log"), *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        shoal.wait_until(lambda: self.command("PING") == "PONG", 10, "redis-server")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()

    def command(self, *words):
        ended = subprocess.run(["redis-cli", "-s", str(self.socket), *map(str, words)], capture_output=True, text=True)
        return ended.stdout.strip()


class Balancer:
    """Forwards datagrams of clients to nodes, one flow per client address."""

    def __init__(self, targets, seed=0):
        """`targets`: [(host, port)] of the nodes; None: nobody is there."""
        self.targets, self.random = list(targets), random.Random(seed)
        self.public = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.public.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.public.bind(("127.0.0.1", 0))
        self.port = self.public.getsockname()[1]
        self.flows, self.lock = {}, threading.Lock()
        self.choose = lambda client: client[1] % len(self.targets)
        self.to_nodes = self.to_clients = self.dropped = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.public, selectors.EVENT_READ, None)
        self.wake, waker = socket.socketpair()
        self.selector.register(waker, selectors.EVENT_READ, "stop")
        self.waker = waker
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.wake.send(b"x")
        self.thread.join(10)
        for flow in self.flows.values():
            flow[0].close()
        for s in (self.public, self.wake, self.waker):
            s.close()
        self.selector.close()

    def _flow(self, client):
        flow = self.flows.get(client)
        if not flow:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("127.0.0.1", 0))
            flow = self.flows[client] = [s, self.choose(client)]
            self.selector.register(s, selectors.EVENT_READ, client)
        return flow

    def _from_clients(self):
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                data, client = self.public.recvfrom(65536, socket.MSG_DONTWAIT)
                with self.lock:
                    flow = self._flow(client)
                    target = self.targets[flow[1]]
                if target:
                    self.to_nodes += 1
                    flow[0].sendto(data, target)
                else:
                    self.dropped += 1

    def _from_node(self, s, client):
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(16):
                data = s.recv(65536, socket.MSG_DONTWAIT)
                self.to_clients += 1
                self.public.sendto(data, client)

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data == "stop":
                    return
                if key.data is None:
                    self._from_clients()
                else:
                    self._from_node(key.fileobj, key.data)

    def remap(self, choose):
        """From now on the flow of `client` goes to the node with the index choose(client, index before)."""
        with self.lock:
            for client, flow in self.flows.items():
                flow[1] = choose(client, flow[1])
            self.choose = lambda client: choose(client, client[1] % len(self.targets))

    def rotate(self):
        """Each flow goes to the next node."""
        with self.lock:
            for flow in self.flows.values():
                flow[1] = (flow[1] + 1) % len(self.targets)

    def avoid(self, *gone):
        """Nobody is sent to these nodes any more."""
        left = [i for i in range(len(self.targets)) if i not in gone]
        self.remap(lambda client, before: before if before not in gone else left[client[1] % len(left)])


class Cluster:
    """Nodes 1.. with ports of their own, and a balancer for CoAP and one for DTLS."""

    def __init__(self, folder, count=3, *options, redis_options=()):
        self.folder, self.options, self.count = pathlib.Path(folder), options, count
        self.redis = Redis(folder, *redis_options)
        self.nodes, self.stack = [], contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.redis)
            key = self.folder / "cluster.key"
            key.write_text(secrets.token_hex(32) + "\n")
            for i in range(1, self.count + 1):
                home = self.folder / f"node{i}"
                home.mkdir()
                self.nodes.append(stack.enter_context(shoal.Daemon(
                    home, "--node-id", str(i), "--node-cluster-key-file", str(key), "--cluster-lease",
                    f"{int(LEASE * 1000)}ms", *self.options, store=self.redis.url)))
            self.coap = stack.enter_context(Balancer([("127.0.0.1", n.coap_port) for n in self.nodes]))
            self.coaps = stack.enter_context(Balancer([("127.0.0.1", n.dtls_port) for n in self.nodes]))
            shoal.wait_until(self.met, 20, "nodes that know each other")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *unused):
        self.stack.close()

    def met(self):
        """Each node that lives knows of all the others."""
        return all(len(n.get("/api/cluster").json["nodes"]) == len(self.alive()) for n in self.alive())

    def alive(self):
        return [n for n in self.nodes if n.alive]

    def total(self, metric):
        return sum(n.metrics().get(metric, 0) for n in self.alive())

    def owned(self):
        """Registered devices in the memory of all nodes together."""
        return self.total("shoal_devices")
