from concurrent.futures import ThreadPoolExecutor
import gzip
import http.client
from urllib.parse import urlsplit
import urllib.request

import tasks


class Client:
    """Redirects and proxies are urllib's, what is kept open http.client's."""

    def __init__(self):
        self.kept = {}

    def get(self, url):
        if url.endswith("/connection"):
            return self.keep(url)
        with urllib.request.urlopen(url) as r:
            body = r.read()
            return gzip.decompress(body) if r.headers.get("Content-Encoding") == "gzip" else body

    def keep(self, url):
        u = urlsplit(url)
        kind = http.client.HTTPSConnection if u.scheme == "https" else http.client.HTTPConnection
        c = self.kept.setdefault((u.scheme, u.netloc), kind(u.netloc))
        c.request("GET", u.path)
        return c.getresponse().read()

    def post(self, url, body):
        with urllib.request.urlopen(url, data=body) as r:
            return r.read()

    def many(self, urls):
        with ThreadPoolExecutor(len(urls)) as pool:
            return list(pool.map(self.get, urls))

    def lines(self, url):
        with urllib.request.urlopen(url) as r:
            yield r.read()  # line by line it takes a connection that ends for the end


tasks.run(Client())
