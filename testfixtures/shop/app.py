"""A small shop: renders a page and asks a service for its motto."""

import flask
import requests
import yaml
from yaml import CSafeLoader  # the C extension

app = flask.Flask(__name__)


def page():
    with app.app_context():
        prices = yaml.load("apple: 3\npear: 4\n", Loader=CSafeLoader)
        return flask.render_template_string(
            "{% for name, price in prices|dictsort %}{{ name }} {{ price }}\n{% endfor %}", prices=prices
        )


def motto():
    return requests.get("https://api.shop.example/zen", timeout=10).text.strip()


if __name__ == "__main__":
    print(page(), end="")
    print(motto())
