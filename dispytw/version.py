"""The version, in a module of its own so that every room may say it."""

VERSION = "0.1.0"
