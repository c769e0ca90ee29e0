from concurrent.futures import ThreadPoolExecutor

import requests

import tasks


class Client:
    def __init__(self):
        self.session = requests.Session()

    def get(self, url):
        r = self.session.get(url)
        r.raise_for_status()
        return r.content

    def post(self, url, body):
        return self.session.post(url, data=body).content

    def many(self, urls):
        with ThreadPoolExecutor(len(urls)) as pool:
            return list(pool.map(lambda u: requests.get(u).content, urls))

    def lines(self, url):
        return self.session.get(url, stream=True).iter_lines(chunk_size=1)


tasks.run(Client())
