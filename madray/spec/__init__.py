"""The sweep file as types: every field, default, bound and its doc. Loads no torch, no Ray."""
