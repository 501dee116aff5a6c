"""Reads a page of --report, --profile or the command report: every element closed, every row as long as its table's first, nothing from elsewhere."""
import html.parser
import sys


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tables, self.rows = [], 0, []

    def handle_starttag(self, tag, attributes):
        assert not {"src", "href"} & {name for name, _ in attributes}, attributes
        if tag == "table":
            self.tables, self.rows = self.tables + 1, []
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())
        if tag == "table":
            assert len(self.rows) > 1 and len(set(self.rows)) == 1, self.rows


page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
page.close()
assert not page.open, page.open
print(page.tables, "tables")
