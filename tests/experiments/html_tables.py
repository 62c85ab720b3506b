"""What a page says, for tests to read."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Text and tables of a page, a table as its caption and the cells of its rows."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tables, self.open = "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "figcaption":
            self.caption = ""
        elif tag == "table":
            self.tables.append((self.caption, []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][1][-1].append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        if "figcaption" in self.open:
            self.caption += data
        elif self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][1][-1][-1] += data

    def table(self, start):
        (found,) = (rows for caption, rows in self.tables if caption.startswith(start))
        return found
