"""What the receivers in Python have in common: how they speak WHEP, and how they tell the test what they get.

A receiver prints a line of JSON twice a second and once more at its end, which comes when its standard input is closed. Then it gives the session up, unless
it is killed before.
"""

import json
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request


class Resource:
    """A session on the host, made by POST of an offer."""

    def __init__(self, url, token, offer):
        self.token = token
        status, headers, body = self.call("POST", url, offer)
        assert status == 201, (status, body)
        assert headers["Content-Type"] == "application/sdp", headers["Content-Type"]
        self.url = urllib.parse.urljoin(url, headers["Location"])
        self.answer = body

    def delete(self):
        return self.call("DELETE", self.url)[0]

    def call(self, method, url, body=None):
        request = urllib.request.Request(url, method=method, data=body.encode() if body else None)
        if body:
            request.add_header("Content-Type", "application/sdp")
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # the test made the certificate itself
        with urllib.request.urlopen(request, timeout=60, context=trusting if url.startswith("https:") else None) as response:
            return response.status, response.headers, response.read().decode()


class Pictures:
    """Counts decoded pictures and keeps the newest one."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lock = threading.Lock()
        self.frames, self.rising, self.stamp, self.plane = 0, True, None, None
        self.began, self.first, self.newest, self.longest = time.monotonic(), None, None, 0

    def add(self, stamp, plane):
        """Takes a picture, as a function that makes its luma, and the sender's time stamp where it is known. Luma is made of the pictures that are reported alone: of
        each it would take much of a processor, and feedback would be late that the sender waits for."""
        now = time.monotonic()
        with self.lock:
            self.rising = self.rising and (self.stamp is None or stamp is None or stamp > self.stamp)
            self.longest = max(self.longest, now - (self.newest or now))
            self.first = self.first or now - self.began
            self.frames, self.stamp, self.plane, self.newest = self.frames + 1, stamp, plane, now

    def report(self, **more):
        with self.lock:
            got = {"frames": self.frames, "rising": self.rising, "longest": round(self.longest, 3), **more}
            plane, self.longest = self.plane, 0
            if plane is not None:
                got.update(first=round(self.first, 3))
        if plane is not None:
            y = plane()
            h, w = y.shape
            got.update(width=w, height=h)
            got["luma"] = [round(float(y[r * h // self.rows:(r + 1) * h // self.rows, c * w // self.columns:(c + 1) * w // self.columns].mean()), 1)
                           for r in range(self.rows) for c in range(self.columns)]
        print(json.dumps(got), flush=True)


def until_told(pictures):
    """Reports until standard input is closed, in a thread's time."""
    told = threading.Event()

    def wait():
        sys.stdin.read()
        told.set()

    threading.Thread(target=wait, daemon=True).start()
    while not told.wait(0.5):
        pictures.report()
