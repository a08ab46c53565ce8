"""What a notebook shows: escaped, and without opening anything."""

from __future__ import annotations

import unittest
from html.parser import HTMLParser
from typing import Any

from dispytw.client.nodes import DispyNode
from dispytw.client.notebook import cluster_html
from dispytw.values import CANCELLED, TERMINATED, Outcome
from tests.client.clustering import ClusterTestCase
from tests.client.test_job import DONE, Owner, ended, made

EVIL = "<script>alert('&')</script>"


class Tags(HTMLParser):
    """Which tags there are, and what stands between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class Jobs(unittest.TestCase):
    """DispyJob._repr_html_."""

    def shown(self, job: Any) -> Tags:
        tags = Tags(job._repr_html_())
        self.assertEqual([], tags.open)
        self.assertNotIn("script", tags.tags)
        return tags

    def test_each_status(self) -> None:
        """What is known, in words; the result is not opened."""
        owner = Owner()
        running = made()
        running._running("10.0.0.7", 1.5)
        for job, words in ((made(), "Created"), (running, "Running"), (ended(DONE, owner), "Finished")):
            self.assertIn(words, self.shown(job).texts)
        self.assertIn("10.0.0.7", self.shown(running).texts)
        self.assertEqual(([], []), (owner.opened, owner.read))

    def test_what_came_from_elsewhere(self) -> None:
        """Ids, reasons and tracebacks are text, whatever they are; of a very long traceback the end is shown."""
        job = ended(Outcome(TERMINATED, exception="x" * 10_000 + EVIL, reason=EVIL))
        job.id = EVIL
        shown = self.shown(job)
        self.assertEqual(3, sum(EVIL in text for text in shown.texts), shown.texts)
        self.assertLess(len(job._repr_html_()), 6000)

    def test_cancelled(self) -> None:
        """Why stands there."""
        job = ended(Outcome(CANCELLED, reason="cancelled while it ran"))
        self.assertIn("cancelled while it ran", self.shown(job).texts)


class Clusters(ClusterTestCase):
    """JobCluster._repr_html_."""

    def test_a_cluster(self) -> None:
        """Its name, its jobs, its nodes."""
        cluster = self.cluster()
        cluster.submit(1)
        self.session.end(cluster.submit(2))
        cluster.view.nodes[b"n"] = DispyNode("10.0.0.7", EVIL, 4, 51348)
        tags = Tags(cluster._repr_html_())
        self.assertIn("cluster compute: 2 jobs, 1 of them not ended", tags.texts)
        self.assertIn("10.0.0.7:51348", tags.texts)
        self.assertIn(EVIL, tags.texts)
        self.assertNotIn("script", tags.tags)

    def test_names_are_escaped(self) -> None:
        """That of the computation, too."""
        self.assertNotIn("<script", cluster_html(EVIL, 0, 0, []))
