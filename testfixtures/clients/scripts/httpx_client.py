import asyncio
import sys

import httpx

import tasks


class Client:
    def __init__(self):
        self.session = httpx.Client(follow_redirects=True, timeout=100, limits=httpx.Limits(keepalive_expiry=100))
        self.more = [self.http2, self.events] if sys.argv[1] == "all" else []

    def get(self, url):
        r = self.session.get(url)
        r.raise_for_status()
        return r.content

    def post(self, url, body):
        return self.session.post(url, content=body).content

    def many(self, urls):
        async def fetch():
            async with httpx.AsyncClient(timeout=100) as c:
                return [r.content for r in await asyncio.gather(*(c.get(u) for u in urls))]

        return asyncio.run(fetch())

    def lines(self, url):
        with self.session.stream("GET", url) as r:
            yield from r.iter_lines()

    def http2(self, base):
        with httpx.Client(http2=True) as c:
            got = c.get(base + "/version").content
        return got == (b"HTTP/2.0" if base.startswith("https") else b"HTTP/1.1"), got

    def events(self, base):
        with self.session.stream("GET", base + "/events") as r:
            got = [line for line in r.iter_lines() if line.strip()]
        return len(got) == 5, got


tasks.run(Client())
