import asyncio

import aiohttp
from yarl import URL

import tasks


class Client:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.session = self.loop.run_until_complete(self.start())
        self.more = [self.websocket, self.events]

    async def start(self):
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=100))

    def get(self, url):
        return self.loop.run_until_complete(self.fetch(url))

    async def fetch(self, url):
        async with self.session.get(URL(url, encoded=True)) as r:
            return await r.read()

    def post(self, url, body):
        async def send():
            async with self.session.post(url, data=body) as r:
                return await r.read()

        return self.loop.run_until_complete(send())

    def many(self, urls):
        async def fetch():
            return await asyncio.gather(*(self.fetch(u) for u in urls))

        return self.loop.run_until_complete(fetch())

    def lines(self, url):
        async def begin():
            return await self.session.get(url, timeout=None)

        r = self.loop.run_until_complete(begin())
        while line := self.loop.run_until_complete(r.content.readline()):
            yield line

    def websocket(self, base):
        async def talk():
            async with self.session.ws_connect(base + "/socket") as ws:
                got = []
                for i in range(3):
                    await ws.send_str("message %d" % i)
                    got.append(await ws.receive_str())
                return got

        got = self.loop.run_until_complete(talk())
        return got == ["message 0", "message 1", "message 2"], got

    def events(self, base):
        got = [line for line in self.lines(base + "/events") if line.strip()]
        return len(got) == 5, got


tasks.run(Client())
