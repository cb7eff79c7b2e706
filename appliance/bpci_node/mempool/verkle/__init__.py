"""The outer tree: 256-ary, KZG-committed, keys of four bytes, digests of 32. ``docs/spec/mx-verkle.md``, section 5."""
