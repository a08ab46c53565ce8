"""Tells twistd of `dispynode`; the service itself is in dispytw.node.tap."""

from twisted.application.service import ServiceMaker

dispynode = ServiceMaker(
    "dispynode", "dispytw.node.tap", "Runs jobs sent by dispytw programs and schedulers.", "dispynode"
)
