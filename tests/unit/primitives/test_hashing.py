from bpci_node.primitives.hashing import derive, keccak256, sha256


def test_sha256_is_that_of_fips_180():
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_keccak256_is_ethereums_and_not_sha3():
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"


def test_derive_is_blake3_in_derive_key_mode():
    # BLAKE3's official test vectors (test_vectors.json): this context string, inputs of 0 and 1 bytes.
    context = "BLAKE3 2019-12-27 16:29:52 test vectors context"
    assert derive(context, b"").hex() == "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d"
    assert derive(context, b"\x00").hex() == "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c"


def test_contexts_keep_meanings_apart():
    assert derive("bpci 2026 block v1", b"x") != derive("bpci 2026 command v1", b"x")
